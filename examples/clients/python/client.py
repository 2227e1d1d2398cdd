#!/usr/bin/env python3
"""A stranger's client: knows the vault by proto/ and its certificates alone.

    oubliette init DIR && oubliette serve --dir DIR      # in another window
    pip install -r requirements.txt
    python client.py 127.0.0.1:7443 --dir DIR

Creates a customer, puts a record, reads it as two services, is denied, and
erases the customer. Exits 0 only if each step went as it says.
"""

import argparse
import contextlib
import pathlib
import sys
import uuid

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

# Stubs straight from the .proto files. To have them as files instead:
# python -m grpc_tools.protoc -I proto --python_out=. --grpc_python_out=. proto/oubliette/v1/*.proto
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "proto"))
customers_pb, customers = grpc.protos_and_services("oubliette/v1/customer_service.proto")
records_pb, records = grpc.protos_and_services("oubliette/v1/record_service.proto")
from oubliette.v1 import value_pb2  # noqa: E402 (made by the lines above)

DEADLINE_SECONDS = 10


def connect(address: str, directory: pathlib.Path, principal: str) -> grpc.Channel:
    """A channel that shows the certificate of one principal ("acme/checkout")."""
    pki = directory / "pki"
    client = pki / "clients" / principal.replace("/", ".")
    credentials = grpc.ssl_channel_credentials(
        root_certificates=(pki / "ca.pem").read_bytes(),
        private_key=client.with_name(client.name + ".key").read_bytes(),
        certificate_chain=client.with_name(client.name + ".pem").read_bytes(),
    )
    return grpc.secure_channel(address, credentials)


def read(channel: grpc.Channel, name: str, purpose: str, fields: list[str]) -> dict:
    """Reads fields for a purpose; what comes back is what that purpose may see."""
    request = records_pb.GetRecordRequest(
        name=name, record_type="contact", purpose=purpose, fields=fields
    )
    reply = records.RecordServiceStub(channel).GetRecord(request, timeout=DEADLINE_SECONDS)
    return dict(reply.record.fields)


def refusal(error: grpc.RpcError) -> str:
    """The stable reason that every error of the vault carries."""
    for detail in rpc_status.from_call(error).details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info.reason
    raise AssertionError(f"an error without a reason: {error.details()}")


def reason_of(call) -> str:
    """The reason why `call` is refused; it must be."""
    try:
        call()
    except grpc.RpcError as error:
        return refusal(error)
    raise AssertionError("the vault answered what it had to refuse")


def must(holds: bool, what: str) -> None:
    """Stops with exit code 1 unless the step held."""
    if not holds:
        raise AssertionError(f"this did not hold: {what}")


def tell(importer, support, recommender, privacy) -> None:
    """The story, step by step."""
    customer_id = f"python-{uuid.uuid4()}"
    customer = f"customers/{customer_id}"
    record = f"{customer}/records/main"

    customers.CustomerServiceStub(importer).CreateCustomer(
        customers_pb.CreateCustomerRequest(customer_id=customer_id, request_id=str(uuid.uuid4())),
        timeout=DEADLINE_SECONDS,
    )
    put = records.RecordServiceStub(importer).PutRecord(
        records_pb.PutRecordRequest(
            name=record,
            record_type="contact",
            fields={
                "given_name": value_pb2.Value(string_value="Zoë"),
                "email": value_pb2.Value(string_value="zoe@example.org"),
                "phone": value_pb2.Value(string_value="+31 20 555 0142"),
                "birth_date": value_pb2.Value(
                    date_value=value_pb2.Date(year=1990, month=2, day=28)
                ),
            },
            request_id=str(uuid.uuid4()),
        ),
        timeout=DEADLINE_SECONDS,
    )
    must(put.record.revision == 1, "the first write is revision 1")
    print("importer: put a contact of four fields, revision 1")

    phone = read(support, record, "support", ["phone"])["phone"]
    must(phone.form == value_pb2.FORM_MASKED, "support sees a masked phone number")
    must("555" not in phone.value.string_value, "the mask hides the number")
    print(f"support-desk: the phone number is {phone.value.string_value} ({phone.transform})")

    age = read(recommender, record, "personalization", ["birth_date"])["birth_date"]
    must(age.form == value_pb2.FORM_DERIVED, "personalization sees a derived birth date")
    must(not age.value.HasField("date_value"), "the birth date itself does not leave")
    print(f"recommender: the birth date is {age.value.string_value} ({age.transform})")

    # Only the privacy office's purpose shows the date itself.
    reason = reason_of(lambda: read(recommender, record, "privacy_requests", ["birth_date"]))
    must(reason == "PURPOSE_NOT_GRANTED", f"another's purpose is refused, not {reason}")
    print(f"recommender: the date itself, for privacy_requests: denied, {reason}")

    erased = customers.CustomerServiceStub(privacy).EraseCustomer(
        customers_pb.EraseCustomerRequest(name=customer, request_id=str(uuid.uuid4())),
        timeout=DEADLINE_SECONDS,
    )
    level = erased.customer.erasure_level
    must(level >= customers_pb.ERASURE_LEVEL_SHREDDED, "the keys are destroyed")
    print(f"privacy-office: erased, {customers_pb.ErasureLevel.Name(level)}")

    reason = reason_of(lambda: read(support, record, "support", ["phone"]))
    must(reason in ("CUSTOMER_ERASED", "CUSTOMER_NOT_FOUND"), f"nothing is read, not {reason}")
    print(f"support-desk: reads again: {reason}")


def main() -> None:
    """Connects as four principals and tells the story."""
    parser = argparse.ArgumentParser(description="A client of Oubliette in Python.")
    parser.add_argument("address", help="the server, for example 127.0.0.1:7443")
    parser.add_argument("--dir", required=True, type=pathlib.Path, help="made by oubliette init")
    arguments = parser.parse_args()
    principals = ["acme/importer", "acme/support-desk", "acme/recommender", "acme/privacy-office"]
    with contextlib.ExitStack() as open_channels:
        tell(
            *(
                open_channels.enter_context(connect(arguments.address, arguments.dir, principal))
                for principal in principals
            )
        )


if __name__ == "__main__":
    main()
