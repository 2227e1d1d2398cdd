// A stranger's client: knows the vault by proto/ and its certificates alone.
//
//     oubliette init DIR && oubliette serve --dir DIR      # in another window
//     npm ci
//     node client.mjs 127.0.0.1:7443 --dir DIR
//
// Creates a customer, puts a record, reads it as two services, is denied, and
// erases the customer. Exits 0 only if each step went as it says.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import protobuf from 'protobufjs';

const PROTO = join(dirname(fileURLToPath(import.meta.url)), '../../../proto');
const DEADLINE_MILLISECONDS = 10_000;

const { CustomerService, RecordService } = grpc.loadPackageDefinition(
  loadSync(['oubliette/v1/customer_service.proto', 'oubliette/v1/record_service.proto'], {
    includeDirs: [PROTO],
    keepCase: true,
    longs: String,
    enums: String,
    oneofs: true,
  }),
).oubliette.v1;

// google.rpc, as far as it is needed to read the reason of an error.
const rpc = protobuf.parse(
  `syntax = "proto3";
  package google.rpc;
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }`,
  { keepCase: true },
).root;
const Status = rpc.lookupType('google.rpc.Status');
const ErrorInfo = rpc.lookupType('google.rpc.ErrorInfo');

// Clients that show the certificate of one principal ("acme/checkout").
function connect(address, directory, principal) {
  const pki = join(directory, 'pki');
  const client = join(pki, 'clients', principal.replace('/', '.'));
  const credentials = grpc.credentials.createSsl(
    readFileSync(join(pki, 'ca.pem')),
    readFileSync(`${client}.key`),
    readFileSync(`${client}.pem`),
  );
  // An IP address is no TLS server name (RFC 6066): ask for the local name.
  const byAddress = isIP(address.replace(/:\d+$/, '')) !== 0;
  const options = byAddress ? { 'grpc.ssl_target_name_override': 'localhost' } : {};
  return {
    customers: new CustomerService(address, credentials, options),
    records: new RecordService(address, credentials, options),
  };
}

// One call as a promise, with a deadline.
function call(stub, method, request) {
  return new Promise((resolve, reject) => {
    const deadline = new Date(Date.now() + DEADLINE_MILLISECONDS);
    stub[method](request, { deadline }, (error, reply) => (error ? reject(error) : resolve(reply)));
  });
}

// Reads fields for a purpose; what comes back is what that purpose may see.
async function read(caller, name, purpose, fields) {
  const request = { name, record_type: 'contact', purpose, fields };
  return (await call(caller.records, 'GetRecord', request)).record.fields;
}

// The stable reason that every error of the vault carries.
function refusal(error) {
  const [bytes] = error.metadata?.get('grpc-status-details-bin') ?? [];
  assert.ok(bytes, `an error without a reason: ${error.message}`);
  const details = Status.decode(bytes).details;
  const info = details.find((any) => any.type_url.endsWith('/google.rpc.ErrorInfo'));
  assert.ok(info, `an error without a reason: ${error.message}`);
  return ErrorInfo.decode(info.value).reason;
}

// The reason why a call is refused; it must be.
async function reasonOf(promise) {
  const error = await promise.then(
    () => assert.fail('the vault answered what it had to refuse'),
    (refused) => refused,
  );
  return refusal(error);
}

// The story, step by step.
async function tell(importer, support, recommender, privacy) {
  const customerId = `node-${randomUUID()}`;
  const customer = `customers/${customerId}`;
  const record = `${customer}/records/main`;

  await call(importer.customers, 'CreateCustomer', {
    customer_id: customerId,
    request_id: randomUUID(),
  });
  const put = await call(importer.records, 'PutRecord', {
    name: record,
    record_type: 'contact',
    fields: {
      given_name: { string_value: 'Zoë' },
      email: { string_value: 'zoe@example.org' },
      phone: { string_value: '+31 20 555 0142' },
      birth_date: { date_value: { year: 1990, month: 2, day: 28 } },
    },
    request_id: randomUUID(),
  });
  assert.equal(put.record.revision, '1', 'the first write is revision 1');
  console.log('importer: put a contact of four fields, revision 1');

  const { phone } = await read(support, record, 'support', ['phone']);
  assert.equal(phone.form, 'FORM_MASKED', 'support sees a masked phone number');
  assert.ok(!phone.value.string_value.includes('555'), 'the mask hides the number');
  console.log(`support-desk: the phone number is ${phone.value.string_value} (${phone.transform})`);

  const { birth_date: age } = await read(recommender, record, 'personalization', ['birth_date']);
  assert.equal(age.form, 'FORM_DERIVED', 'personalization sees a derived birth date');
  assert.notEqual(age.value.kind, 'date_value', 'the birth date itself does not leave');
  console.log(`recommender: the birth date is ${age.value[age.value.kind]} (${age.transform})`);

  // Only the privacy office's purpose shows the date itself.
  const denied = await reasonOf(read(recommender, record, 'privacy_requests', ['birth_date']));
  assert.equal(denied, 'PURPOSE_NOT_GRANTED', "another's purpose is refused");
  console.log(`recommender: the date itself, for privacy_requests: denied, ${denied}`);

  const erased = await call(privacy.customers, 'EraseCustomer', {
    name: customer,
    request_id: randomUUID(),
  });
  const level = erased.customer.erasure_level;
  assert.match(level, /^ERASURE_LEVEL_(SHREDDED|PURGED)$/, 'the keys are destroyed');
  console.log(`privacy-office: erased, ${level}`);

  const gone = await reasonOf(read(support, record, 'support', ['phone']));
  assert.match(gone, /^CUSTOMER_(ERASED|NOT_FOUND)$/, 'nothing is read');
  console.log(`support-desk: reads again: ${gone}`);
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { dir: { type: 'string' } },
});
if (positionals.length !== 1 || !values.dir) {
  console.error('usage: node client.mjs ADDRESS --dir DIR');
  process.exit(2);
}
const principals = ['acme/importer', 'acme/support-desk', 'acme/recommender', 'acme/privacy-office'];
const callers = principals.map((principal) => connect(positionals[0], values.dir, principal));
try {
  await tell(...callers);
} finally {
  for (const { customers, records } of callers) {
    customers.close();
    records.close();
  }
}
