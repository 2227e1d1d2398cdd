//! The policy file, in Cedar: parsed within limits, checked strictly against
//! the schema, the roles and the catalog, and asked.

use super::action::Action;
use super::guard;
use super::roles::{Principal, Roles};
use crate::catalog::{Catalog, Field, Form};
use crate::error::{Error, Result, Rule};
use crate::limits;
use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName,
    EntityUid, Policy, PolicyId, PolicySet, Request, RestrictedExpression, Schema, ValidationMode,
    Validator,
};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::str::FromStr;
use std::sync::Arc;

const SCHEMA: &str = include_str!("schema.cedarschema");

/// The one resource of actions that are about no record type.
const VAULT: &str = "vault";

/// A checked policy file with what it is asked about.
pub(super) struct Policies {
    schema: Schema,
    set: PolicySet,
    entities: Entities,
    authorizer: Authorizer,
}

/// What the policies said.
pub(super) enum Verdict {
    /// Permitted, by these policies.
    Permitted(Arc<[String]>),
    /// Refused by a rule, with the policies that decided or that failed.
    Refused(Rule, Arc<[String]>),
}

/// What enters a decision, and nothing else.
pub(super) struct Asked<'a> {
    pub action: Action,
    /// The record type's name; none for the vault.
    pub record_type: Option<&'a str>,
    /// The purpose's name, or empty.
    pub purpose: &'a str,
    /// Exactly the fields; for a read with the forms that they are shown in.
    pub fields: &'a [(Arc<Field>, Option<Form>)],
}

impl Policies {
    /// Parses and checks a policy file. Parsing recurses, so it is done on a
    /// thread with a stack that the limits cannot exhaust.
    pub fn parse(file: &str, text: &str, roles: &Roles, catalog: &Catalog) -> Result<Self> {
        let refused = |line: usize, what: &str| Error::Setup(format!("{file}:{line}: {what}"));
        let texts = guard::split(text).map_err(|(line, what)| refused(line, &what))?;
        let parsed = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(limits::POLICY_STACK_BYTES);
            let parser = thread.spawn_scoped(scope, || parse_all(&texts)).ok()?;
            parser.join().ok()
        });
        let parsed = parsed.ok_or(Error::Internal("the policy parser did not finish"))?;
        let (schema, set, lines) = parsed.map_err(|(line, what)| refused(line, &what))?;
        for policy in set.policies() {
            let line = lines.get(policy.id()).copied().unwrap_or_default();
            check_names(policy, roles, catalog).map_err(|what| refused(line, &what))?;
        }
        let entities = entities(roles, catalog, &schema).ok_or(Error::Internal(
            "roles and catalog do not fit the policy schema",
        ))?;
        Ok(Self {
            schema,
            set,
            entities,
            authorizer: Authorizer::new(),
        })
    }

    /// Asks. Cedar passes over a policy that fails, even a forbid; here any
    /// failure refuses.
    pub fn ask(&self, principal: &Principal, asked: &Asked<'_>) -> Verdict {
        let failed = || Verdict::Refused(Rule::PolicyError, Arc::new([]));
        let Some(request) = self.request(principal, asked) else {
            return failed();
        };
        let reply = self
            .authorizer
            .is_authorized(&request, &self.set, &self.entities);
        let diagnostics = reply.diagnostics();
        let errors: Vec<String> = sorted(diagnostics.errors().map(|error| match error {
            AuthorizationError::PolicyEvaluationError(e) => e.policy_id(),
        }));
        if !errors.is_empty() {
            return Verdict::Refused(Rule::PolicyError, errors.into());
        }
        let deciding = sorted(diagnostics.reason()).into();
        match reply.decision() {
            Decision::Allow => Verdict::Permitted(deciding),
            Decision::Deny => Verdict::Refused(Rule::Policy, deciding),
        }
    }

    fn request(&self, principal: &Principal, asked: &Asked<'_>) -> Option<Request> {
        let resource = match asked.record_type {
            Some(name) => uid("RecordType", name)?,
            None => uid("Vault", VAULT)?,
        };
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let set =
            |texts: BTreeSet<&str>| RestrictedExpression::new_set(texts.into_iter().map(text));
        let fields = asked.fields.iter().map(|(f, _)| f.name.as_str());
        let classes = asked
            .fields
            .iter()
            .flat_map(|(f, _)| f.classification.lineage());
        let forms = asked
            .fields
            .iter()
            .filter_map(|(_, form)| Some(form.as_ref()?.kind()));
        let special = asked.fields.iter().any(|(f, _)| f.special);
        let context = Context::from_pairs([
            ("purpose".to_owned(), text(asked.purpose)),
            ("fields".to_owned(), set(fields.collect())),
            ("classifications".to_owned(), set(classes.collect())),
            ("forms".to_owned(), set(forms.collect())),
            (
                "special".to_owned(),
                RestrictedExpression::new_bool(special),
            ),
        ]);
        Request::new(
            uid("Principal", principal.name())?,
            uid("Action", asked.action.name())?,
            resource,
            context.ok()?,
            Some(&self.schema),
        )
        .ok()
    }
}

fn sorted<'a>(ids: impl Iterator<Item = &'a PolicyId>) -> Vec<String> {
    let ids: BTreeSet<String> = ids.map(ToString::to_string).collect();
    ids.into_iter().collect()
}

fn uid(kind: &str, id: &str) -> Option<EntityUid> {
    let kind = EntityTypeName::from_str(kind).ok()?;
    Some(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

type Parsed = (Schema, PolicySet, HashMap<PolicyId, usize>);

fn parse_all(texts: &[guard::PolicyText<'_>]) -> std::result::Result<Parsed, guard::Refused> {
    let (schema, _) = Schema::from_cedarschema_str(SCHEMA)
        .map_err(|_| (0, "the built-in policy schema does not parse".to_owned()))?;
    let mut set = PolicySet::new();
    let mut lines = HashMap::new();
    for text in texts {
        let refused = |what: String| (text.line, what);
        // Cedar's message names a token and what was expected; a policy file
        // holds names and no secrets.
        let policy = Policy::parse(None, text.text)
            .map_err(|e| refused(format!("not a Cedar policy: {e}")))?;
        let id = policy
            .annotation("id")
            .filter(|id| is_id(id))
            .ok_or_else(|| {
                refused("needs @id(\"...\") before it, 1 to 63 of a-z 0-9 - _".to_owned())
            })?;
        let id = PolicyId::new(id);
        let policy = policy.new_id(id.clone());
        set.add(policy)
            .map_err(|_| refused(format!("the id {id} is taken; choose another")))?;
        lines.insert(id, text.line);
    }
    let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    let line = |id: &PolicyId| lines.get(id).copied().unwrap_or_default();
    if let Some(error) = result.validation_errors().next() {
        return Err((line(error.policy_id()), error.to_string()));
    }
    // A warning is a policy that can never apply or that deceives the eye.
    if let Some(warning) = result.validation_warnings().next() {
        return Err((line(warning.policy_id()), warning.to_string()));
    }
    Ok((schema, set, lines))
}

fn is_id(text: &str) -> bool {
    (1..=limits::LABEL_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

/// The schema cannot know which roles, principals and record types there are;
/// a policy that names an unknown one is a slip, and a forbid with a slip in
/// it would forbid nothing.
fn check_names(
    policy: &Policy,
    roles: &Roles,
    catalog: &Catalog,
) -> std::result::Result<(), String> {
    for literal in policy.entity_literals() {
        let kind = literal.type_name().to_string();
        let name = literal.id().unescaped();
        let known = match kind.as_str() {
            "Role" => roles.has_role(name),
            "RecordType" => catalog.record_type(name).is_some(),
            "Principal" => roles.principals().any(|p| &**p.name() == name),
            "Vault" => name == VAULT,
            _ => true,
        };
        if !known {
            return Err(format!(
                "policy {} names a {kind} that the roles file or the catalog does not have",
                policy.id()
            ));
        }
    }
    Ok(())
}

/// Everybody and everything that a policy can be asked about.
fn entities(roles: &Roles, catalog: &Catalog, schema: &Schema) -> Option<Entities> {
    let mut all = vec![Entity::new_no_attrs(uid("Vault", VAULT)?, HashSet::new())];
    for (role, _) in roles.roles() {
        all.push(Entity::new_no_attrs(
            uid("Role", role.as_str())?,
            HashSet::new(),
        ));
    }
    for record_type in catalog.record_types() {
        let uid = uid("RecordType", record_type.name.as_str())?;
        all.push(Entity::new_no_attrs(uid, HashSet::new()));
    }
    for principal in roles.principals() {
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let attributes = HashMap::from([
            ("tenant".to_owned(), text(principal.tenant().as_str())),
            ("service".to_owned(), text(principal.service().as_str())),
        ]);
        let parents: Option<HashSet<_>> = principal
            .roles()
            .iter()
            .map(|role| uid("Role", role.as_str()))
            .collect();
        let uid = uid("Principal", principal.name())?;
        all.push(Entity::new(uid, attributes, parents?).ok()?);
    }
    Entities::from_entities(all, Some(schema)).ok()
}
