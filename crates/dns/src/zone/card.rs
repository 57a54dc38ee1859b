//! What answering a question reads of a name: the name and its rendered
//! answers in one piece of memory, one step from the table.
//!
//! In memory: the place, the length of the name, the name, then for each answer
//! its type and its [`Body`].

use super::body::{Body, Rendered};
use domain::base::iana::Rtype;
use std::sync::Arc;

/// What the referral of a delegation point is filed under: no RRset has type 0
/// (RFC 6895 section 3.1).
const REFERRAL: Rtype = Rtype::from_int(0);

/// Where a name stands in its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the authoritative data.
    Authoritative,
    /// At a delegation (RFC 1034 section 4.2.1).
    Cut,
    /// Below a delegation: glue and the like.
    Below,
}

/// A name and its rendered answers. Never changes; cheap to share.
#[derive(Debug, Clone)]
pub(crate) struct Card(Arc<[u8]>);

impl Card {
    /// The card of a name (lower-cased wire format).
    pub(crate) fn new(
        name: &[u8],
        place: Place,
        answers: &[(Rtype, Rendered)],
        referral: Option<&Rendered>,
    ) -> Self {
        let mut memory = vec![place as u8, name.len() as u8];
        memory.extend_from_slice(name);
        let referral = referral.map(|body| (&REFERRAL, body));
        for (rtype, body) in answers.iter().map(|(rtype, body)| (rtype, body)).chain(referral) {
            memory.extend_from_slice(&rtype.to_int().to_ne_bytes());
            memory.extend_from_slice(body.memory());
        }
        Self(memory.into())
    }

    /// Where the name stands.
    #[inline]
    pub(crate) fn place(&self) -> Place {
        match self.0.first() {
            Some(0) => Place::Authoritative,
            Some(1) => Place::Cut,
            _ => Place::Below,
        }
    }

    /// The name.
    #[inline]
    pub(crate) fn name(&self) -> &[u8] {
        self.0.get(1).and_then(|&length| self.0.get(2..2 + usize::from(length))).unwrap_or_default()
    }

    /// The rendered answer for a type.
    #[inline]
    pub(crate) fn answer(&self, rtype: Rtype) -> Option<Body<'_>> {
        let mut rest = self.0.get(2 + self.name().len()..)?;
        while let Some((known, body)) = rest.split_first_chunk::<2>() {
            let (body, next) = Body::read(body)?;
            if u16::from_ne_bytes(*known) == rtype.to_int() {
                return Some(body);
            }
            rest = next;
        }
        None
    }

    /// The rendered referral, for a delegation point.
    pub(crate) fn referral(&self) -> Option<Body<'_>> {
        (self.place() == Place::Cut).then(|| self.answer(REFERRAL)).flatten()
    }

    /// Its memory, to be read ahead.
    #[inline]
    pub(crate) fn memory(&self) -> &[u8] {
        &self.0
    }
}
