//! The yardstick: a bare tonic server with the same messages, TLS and runtime
//! as the vault, that stores, checks and encrypts nothing.

use crate::cli::child::READY;
use crate::cli::out::Out;
use crate::cli::serve;
use crate::cli::stop::{Done, Stop};
use crate::pb;
use crate::pb::record_service_server::{RecordService, RecordServiceServer};
use clap::Args;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use tokio_stream::Empty;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

/// Arguments of `bench echo-server`.
#[derive(Args, Debug)]
pub struct EchoServer {
    /// The authority that signed the clients' certificates
    #[arg(long)]
    authority: PathBuf,
    /// The server's certificate chain
    #[arg(long)]
    certificate: PathBuf,
    /// The server's private key
    #[arg(long)]
    key: PathBuf,
}

impl EchoServer {
    /// Serves until stdin closes.
    pub fn run(self) -> Done {
        let read =
            |path: &PathBuf| std::fs::read(path).map_err(|error| Stop::file(path, "read", &error));
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(
                read(&self.certificate)?,
                read(&self.key)?,
            ))
            .client_ca_root(Certificate::from_pem(read(&self.authority)?));
        serve::end_with_stdin();
        serve::runtime()?
            .block_on(listen(tls))
            .map_err(|error| Stop::Failed(format!("the echo server cannot serve: {error}")))
    }
}

async fn listen(tls: ServerTlsConfig) -> Result<(), Box<dyn std::error::Error>> {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let incoming = TcpIncoming::bind(any_port)?.with_nodelay(Some(true));
    Out::new(false).line(&format!("{READY}{}", incoming.local_addr()?));
    Server::builder()
        .tls_config(tls)?
        .add_service(RecordServiceServer::new(Echo::new()))
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}

/// Answers every call with what a vault would answer.
struct Echo {
    read: pb::GetRecordResponse,
    written: pb::PutRecordResponse,
}

impl Echo {
    fn new() -> Self {
        let metadata = pb::RecordMetadata {
            name: super::scene::record_name(0, 0),
            record_type: super::scene::RECORD_TYPE.to_owned(),
            revision: 1,
            schema_version: 1,
            create_date: Some(pb::Date {
                year: 2026,
                month: 11,
                day: 23,
            }),
            update_date: Some(pb::Date {
                year: 2026,
                month: 11,
                day: 23,
            }),
            restricted: false,
        };
        let fields = super::scene::fields(1).into_iter().map(|(name, value)| {
            let field = pb::FieldValue {
                value: Some(value),
                form: pb::Form::Raw.into(),
                transform: String::new(),
            };
            (name, field)
        });
        let record = pb::Record {
            metadata: Some(metadata.clone()),
            fields: fields.collect(),
            ..Default::default()
        };
        Self {
            read: pb::GetRecordResponse {
                record: Some(record),
            },
            written: pb::PutRecordResponse {
                record: Some(metadata),
            },
        }
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn not_echoed<T>() -> Answer<T> {
    Err(Status::unimplemented(
        "the echo answers GetRecord and PutRecord",
    ))
}

#[tonic::async_trait]
impl RecordService for Echo {
    type StreamRecordsStream = Empty<Result<pb::StreamRecordsResponse, Status>>;

    async fn get_record(&self, _: Request<pb::GetRecordRequest>) -> Answer<pb::GetRecordResponse> {
        Ok(Response::new(self.read.clone()))
    }

    async fn put_record(&self, _: Request<pb::PutRecordRequest>) -> Answer<pb::PutRecordResponse> {
        Ok(Response::new(self.written.clone()))
    }

    async fn batch_get_records(
        &self,
        _: Request<pb::BatchGetRecordsRequest>,
    ) -> Answer<pb::BatchGetRecordsResponse> {
        not_echoed()
    }

    async fn stream_records(
        &self,
        _: Request<pb::StreamRecordsRequest>,
    ) -> Answer<Self::StreamRecordsStream> {
        not_echoed()
    }

    async fn update_record(
        &self,
        _: Request<pb::UpdateRecordRequest>,
    ) -> Answer<pb::UpdateRecordResponse> {
        not_echoed()
    }

    async fn delete_record(
        &self,
        _: Request<pb::DeleteRecordRequest>,
    ) -> Answer<pb::DeleteRecordResponse> {
        not_echoed()
    }

    async fn list_records(
        &self,
        _: Request<pb::ListRecordsRequest>,
    ) -> Answer<pb::ListRecordsResponse> {
        not_echoed()
    }
}
