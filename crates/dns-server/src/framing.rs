//! Messages over a stream, each behind its length in two octets (RFC 1035
//! section 4.2.2, RFC 7766 section 8).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use net::Network;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Reads one message, of at most 65,535 octets.
pub(crate) async fn read_message(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = reader.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    reader.read_exact(&mut message).await?;
    Ok(message)
}

/// Writes one message, its length in the same segment (RFC 7766 section 8).
pub(crate) async fn write_message(writer: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> io::Result<()> {
    let mut framed = BytesMut::new();
    put_message(&mut framed, message)?;
    writer.write_all(&framed).await?;
    writer.flush().await
}

/// Appends one message.
///
/// # Errors
/// When it has more than 65,535 octets; nothing is appended then.
pub(crate) fn put_message(output: &mut BytesMut, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    output.reserve(message.len() + 2);
    output.put_u16(length);
    output.put_slice(message);
    Ok(())
}

/// The next whole message of what was read, which is thus never more than one
/// of 65,535 octets and the beginning of the next.
pub(crate) fn take_message(input: &mut BytesMut) -> Option<Bytes> {
    let length = usize::from(u16::from_be_bytes(*input.first_chunk()?));
    if input.len() < length + 2 {
        return None;
    }
    input.advance(2);
    Some(input.split_to(length).freeze())
}

/// Connects, sends one message and returns the one that comes back, all within
/// `patience`.
pub(crate) async fn exchange(
    network: &Network,
    server: SocketAddr,
    message: &[u8],
    patience: Duration,
) -> io::Result<Vec<u8>> {
    tokio::time::timeout(patience, async {
        let mut stream = network.connect(server, patience).await?;
        write_message(&mut stream, message).await?;
        read_message(&mut stream).await
    })
    .await
    .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_come_out_as_they_went_in() {
        let mut framed = BytesMut::new();
        let messages = [vec![], vec![7; 12], vec![9; 65_535]];
        for message in &messages {
            put_message(&mut framed, message).unwrap();
        }
        assert!(put_message(&mut framed, &vec![0; 65_536]).is_err(), "the length has two octets");
        assert_eq!(framed.len(), 3 * 2 + 12 + 65_535);
        let mut reader = &framed[..];
        for message in &messages {
            assert_eq!(&read_message(&mut reader).await.unwrap(), message);
        }
        assert!(read_message(&mut reader).await.is_err(), "nothing is left");
        // Octet by octet, as a network may cut it.
        let (mut input, mut taken) = (BytesMut::new(), Vec::new());
        for octet in &framed {
            input.put_u8(*octet);
            while let Some(message) = take_message(&mut input) {
                taken.push(message.to_vec());
            }
        }
        assert_eq!(taken, messages);
    }
}
