//! `dns::Publish` on the authoritative server: the way of every dynamic update,
//! without the network in between.

use crate::authoritative::Server;
use crate::authoritative::UpdateFailure;
use dns::update::Update;
use dns::{BoxFuture, Change, Name, Publish, PublishError};
use domain::base::iana::Rcode;

impl Publish for Server {
    fn publish<'a>(
        &'a self,
        zone: &'a Name,
        changes: Vec<Change>,
    ) -> BoxFuture<'a, Result<(), PublishError>> {
        Box::pin(async move {
            let name = || dns::zone::key::display(zone.as_slice());
            let outcome = match Update::from_changes(zone, changes) {
                Ok(update) => self.update(update, "this host").await,
                Err(rcode) => Err(UpdateFailure::Refused(rcode)),
            };
            outcome.map_err(|failure| match failure {
                UpdateFailure::Refused(Rcode::NOTAUTH) => PublishError::NotPrimary { zone: name() },
                UpdateFailure::Refused(rcode) => {
                    PublishError::Refused { zone: name(), reason: explain(rcode) }
                }
                UpdateFailure::Storage(reason) => PublishError::Storage { zone: name(), reason },
            })
        })
    }
}

fn explain(rcode: Rcode) -> String {
    match rcode {
        Rcode::NOTZONE => "a record's name is not within the zone".to_owned(),
        Rcode::FORMERR => "a record has a type that no zone holds".to_owned(),
        Rcode::REFUSED => "an RRset would grow too large for any answer".to_owned(),
        other => format!("the update was answered {other}"),
    }
}
