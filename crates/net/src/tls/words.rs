//! What TLS complains of, in a person's words.

use rustls::{AlertDescription, CertificateError, Error, InconsistentKeys};
use std::io;

/// What is wrong and, where that is known, what to do about it.
pub(super) fn of(error: &Error) -> String {
    use CertificateError as Wrong;
    let said = match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the key is not that of the certificate; give the two that were made together"
        }
        Error::InvalidCertificate(wrong) => match wrong {
            Wrong::BadEncoding => "the certificate is damaged; get it again from who issued it",
            Wrong::Expired | Wrong::ExpiredContext { .. } => "the certificate has expired; renew it",
            Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => {
                "the certificate is not valid yet; are the clocks right?"
            }
            Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
                "the peer's certificate is for another name; connect to the name it is for"
            }
            Wrong::UnknownIssuer => {
                "the peer's certificate is not signed by a CA that is trusted here; name the file of its CA"
            }
            _ => return format!("the peer's certificate is not accepted ({wrong})"),
        },
        Error::AlertReceived(AlertDescription::UnknownCA | AlertDescription::CertificateUnknown) => {
            "the peer does not trust our certificate; let it trust the CA that issued it"
        }
        Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            "the peer speaks no version of TLS that we speak, 1.2 or 1.3"
        }
        Error::InvalidMessage(_) => "what the peer says is no TLS; is it TLS that is spoken on this port?",
        error => return error.to_string(),
    };
    said.to_owned()
}

/// The same error where it is one of TLS, in words.
pub(crate) fn explained(error: io::Error) -> io::Error {
    let words = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).map(of);
    match words {
        Some(words) => io::Error::new(error.kind(), words),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_tls_are_told_in_words() {
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let told = explained(io::Error::new(io::ErrorKind::InvalidData, unknown));
        assert_eq!(told.kind(), io::ErrorKind::InvalidData);
        assert!(told.to_string().contains("not signed by a CA that is trusted"), "{told}");
        let other = explained(io::ErrorKind::ConnectionReset.into());
        assert_eq!(other.kind(), io::ErrorKind::ConnectionReset);
    }
}
