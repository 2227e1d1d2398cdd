//! Calls byte by byte: what is sent need not be a message, and every byte that
//! comes back is seen, also in front of an error.

use prost::bytes::{Buf, BufMut};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Status};

#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; from.remaining()];
        from.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}

/// Every message that came back, and how the call ended.
pub async fn call(channel: &Channel, path: &str, request: Request<Vec<u8>>) -> (Vec<u8>, Status) {
    let mut grpc = tonic::client::Grpc::new(channel.clone())
        .max_decoding_message_size(16 << 20)
        .max_encoding_message_size(16 << 20);
    if let Err(error) = grpc.ready().await {
        return (Vec::new(), Status::unknown(error.to_string()));
    }
    let path = PathAndQuery::try_from(path).expect("a path");
    let answer = grpc.server_streaming(request, path, Raw).await;
    let mut stream = match answer {
        Ok(answer) => answer.into_inner(),
        Err(status) => return (Vec::new(), status),
    };
    let mut came = Vec::new();
    loop {
        match stream.message().await {
            Ok(Some(message)) => came.extend(message),
            Ok(None) => return (came, Status::ok("")),
            Err(status) => return (came, status),
        }
    }
}
