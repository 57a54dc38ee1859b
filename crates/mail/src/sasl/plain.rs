//! PLAIN: RFC 4616.

use super::{MESSAGE_OCTETS_MAX, SaslError, saslprep};

/// The one message of PLAIN.
#[derive(Clone, PartialEq, Eq)]
pub struct Plain {
    /// Whom to act as; empty for the user themself.
    pub authorization: String,
    /// Who logs in.
    pub authentication: String,
    /// Their password, as typed. Prepare it with [`saslprep`] before comparing.
    pub password: String,
}

impl std::fmt::Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the password.
        f.debug_struct("Plain").finish_non_exhaustive()
    }
}

impl Plain {
    /// Reads `[authzid] NUL authcid NUL passwd`.
    pub fn parse(message: &[u8]) -> Result<Self, SaslError> {
        if message.len() > MESSAGE_OCTETS_MAX {
            return Err(SaslError::TooLong);
        }
        let text = std::str::from_utf8(message).map_err(|_| SaslError::Malformed)?;
        let mut parts = text.split('\0');
        let (Some(authorization), Some(authentication), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(SaslError::Malformed);
        };
        // The preparation may leave nothing of a name.
        let authentication = saslprep(authentication)?;
        if authentication.is_empty() || password.is_empty() {
            return Err(SaslError::Malformed);
        }
        Ok(Self { authorization: authorization.to_owned(), authentication, password: password.to_owned() })
    }

    /// Writes the message.
    pub fn message(&self) -> Vec<u8> {
        format!("{}\0{}\0{}", self.authorization, self.authentication, self.password).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    //! RFC 4616 section 4.
    use super::*;

    #[test]
    fn vectors() {
        let tim = Plain::parse(b"\0tim\0tanstaaftanstaaf").unwrap();
        assert_eq!((tim.authorization.as_str(), tim.authentication.as_str()), ("", "tim"));
        assert_eq!(tim.password, "tanstaaftanstaaf");
        let kurt = Plain::parse(b"Ursel\0Kurt\0xipj3plmq").unwrap();
        assert_eq!(kurt.message(), b"Ursel\0Kurt\0xipj3plmq");
        assert!(!format!("{kurt:?}").contains("xipj3plmq"));
        for bad in
            [&b""[..], b"a\0b", b"\0\0x", b"\0a\0", b"\0a\0b\0c", b"\0a\0\xff", "\0\u{ad}\0x".as_bytes()]
        {
            assert_eq!(Plain::parse(bad), Err(SaslError::Malformed), "{bad:?}");
        }
        assert_eq!(Plain::parse(&[b'a'; MESSAGE_OCTETS_MAX + 1]), Err(SaslError::TooLong));
    }
}
