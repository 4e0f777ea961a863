//! Every reason why a token does not sign, named with its remedy.

use attestation::Fingerprint;
use serde_json::{Value, json};
use signer::{
    CardError, CardIdent,
    card::{self, Slot, Token, TokenStatus},
};

use super::show::Args;
use crate::{
    cli::Global,
    exit::{Exit, Failure, Outcome},
    keys::{self, Key},
    output,
    whose::Book,
};

/// One thing that was looked at.
struct Finding {
    /// A stable word.
    code: &'static str,
    found: String,
    /// What to do about it; `None` where all is well.
    remedy: Option<String>,
}

impl Finding {
    fn good(code: &'static str, found: impl Into<String>) -> Self {
        Self {
            code,
            found: found.into(),
            remedy: None,
        }
    }

    fn bad(code: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            code,
            found: found.into(),
            remedy: Some(remedy.into()),
        }
    }

    fn json(&self) -> Value {
        json!({"code": self.code, "good": self.remedy.is_none(), "found": self.found, "next": self.remedy})
    }

    fn line(&self) -> String {
        match &self.remedy {
            None => format!("good: {}", self.found),
            Some(remedy) => format!("WRONG [{}]: {}\n  next: {remedy}", self.code, self.found),
        }
    }
}

impl From<&CardError> for Finding {
    fn from(error: &CardError) -> Self {
        Self::bad(error.code(), error.to_string(), error.remedy())
    }
}

/// Looks at everything and prints it; fails if something is wrong.
pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let book = Book::open(global);
    let wanted = args.card.clone().or_else(|| of_settings(&book));
    let findings = examine(wanted.as_ref(), &book);
    let lines: Vec<String> = findings
        .iter()
        .map(|finding| output::printable(&finding.line()))
        .collect();
    let json: Vec<Value> = findings.iter().map(Finding::json).collect();
    let wrong: Vec<&Finding> = findings.iter().filter(|finding| finding.remedy.is_some()).collect();
    let Some(first) = wrong.first() else {
        output::result(global.format, &json!({"findings": json}), || lines.join("\n"));
        return Ok(());
    };
    for line in &lines {
        output::note(line);
    }
    let failure = Failure::new(
        Exit::Environment,
        format!("{} thing(s) wrong, first: {}", wrong.len(), first.found),
    );
    Err(failure
        .next(first.remedy.clone().unwrap_or_default())
        .code_word(first.code)
        .findings(json.into()))
}

/// The token that this clone signs with.
fn of_settings(book: &Book) -> Option<CardIdent> {
    match Key::parse(book.key.as_ref()?).ok()? {
        Key::Card(ident) => ident,
        _ => None,
    }
}

fn examine(wanted: Option<&CardIdent>, book: &Book) -> Vec<Finding> {
    let socket = keys::agent_socket();
    let plugged = match card::plugged(socket.as_deref()) {
        Ok(plugged) => plugged,
        Err(error) => return vec![(&keys::told_apart(error)).into()],
    };
    let mut findings = vec![Finding::good("service", "the reader service (pcscd) answers")];
    let (mut tokens, mut others) = (Vec::new(), Vec::new());
    for item in plugged {
        match item.token {
            Ok(token) if wanted.is_none_or(|wanted| token.ident() == wanted) => tokens.push(token),
            Ok(token) => others.push(token.ident().clone()),
            Err(error) => findings.push((&error).into()),
        }
    }
    if tokens.is_empty() && findings.len() == 1 {
        let error = match wanted {
            Some(wanted) if !others.is_empty() => CardError::OtherToken {
                wanted: wanted.clone(),
                found: others,
            },
            _ => CardError::NoToken,
        };
        findings.push((&error).into());
    }
    for mut token in tokens {
        match token.status() {
            Ok(status) => of_token(&token, &status, book, &mut findings),
            Err(error) => findings.push((&error).into()),
        }
    }
    findings
}

fn of_token(token: &Token, status: &TokenStatus, book: &Book, findings: &mut Vec<Finding>) {
    let ident = &status.ident;
    findings.push(Finding::good(
        "token",
        format!("token {ident} ({}) is in {}", status.maker, status.reader),
    ));
    if token.agent().is_some() {
        findings.push(Finding::good(
            "held",
            format!("gpg's scdaemon holds {ident}; it signs through gpg-agent, which asks the PIN"),
        ));
    }
    findings.extend(status.flaw().as_ref().map(Finding::from));
    let pins = [
        (status.pin_tries, CardError::PinBlocked { ident: ident.clone() }, "PIN"),
        (
            status.admin_pin_tries,
            CardError::AdminPinBlocked { ident: ident.clone() },
            "admin PIN",
        ),
    ];
    for (left, blocked, name) in pins {
        findings.push(match left {
            0 => (&blocked).into(),
            left => Finding::good("pin", format!("the {name} has {left} tries left")),
        });
    }
    findings.push(if status.pin_for_each {
        Finding::good("pin-for-each", "it forgets the PIN after each signature")
    } else {
        Finding::good(
            "pin-kept",
            "it keeps the PIN after a signature, so whoever talks to it next signs without (it signs; to change that: gpg \
             --card-edit, admin, forcesig)",
        )
    });
    let Some(slot) = status.slot(Slot::Sign) else { return };
    let Some(key) = &slot.key else {
        let empty = CardError::EmptySlot {
            ident: ident.clone(),
            slot: Slot::Sign,
        };
        findings.push((&empty).into());
        return;
    };
    findings.push(match slot.touch {
        Some(touch) if touch.is_required() => Finding::good("touch", format!("it asks for a touch ({})", touch.name())),
        Some(_) => Finding::bad(
            "touch-off",
            format!("the signing key of {ident} signs without a touch: whatever runs on this computer can use it"),
            "gpg --card-edit, admin, uif 1 permanent; on a YubiKey: ykman openpgp keys set-touch sig fixed",
        ),
        None => Finding::good("touch", "the token has no touch button"),
    });
    of_key(key, book, findings);
}

/// Whether the policy and the certificates of this clone know the key.
fn of_key(key: &Fingerprint, book: &Book, findings: &mut Vec<Finding>) {
    let Some(chain) = &book.chain else {
        findings.push(Finding::good(
            "no-clone",
            "this is no clone with a chain, so nothing is said of certificate and policy (run it there, or with --repo; assay sync fetches what the others have)",
        ));
        return;
    };
    let Some(certificate) = book.certificate(key) else {
        findings.push(Finding::bad(
            "not-in-keyring",
            format!("no certificate of the ledger has key {key}"),
            "have it proposed with the policy: assay policy propose policy.toml --certificate NAME.asc",
        ));
        return;
    };
    findings.push(match chain.keyring.judge(certificate, key, chain.now) {
        Ok(()) => Finding::good("certificate", format!("key {key} signs validly now")),
        Err(error) => Finding::bad(
            error.code(),
            format!("the certificate of key {key} does not let it sign: {error}"),
            "renew it with the token that holds its primary key (assay token rotate), then assay policy propose \
             policy.toml --certificate NAME.asc; of a revoked one: enroll anew",
        ),
    });
    let Some(owner) = book.owner(key) else {
        findings.push(Finding::bad(
            "not-in-policy",
            format!("key {key} is nobody's in the policy (root {})", chain.root.version),
            "assay policy person NAME NAME.asc prints the lines; somebody of role root proposes them: assay policy propose",
        ));
        return;
    };
    let person = &chain.policy.people[owner];
    if person.not_after <= chain.now {
        findings.push(Finding::bad(
            "expired",
            format!("the policy ends {owner}'s keys at {}", person.not_after),
            "have not-after changed: assay policy propose",
        ));
    }
    findings.push(match &book.me {
        Some(me) if me != owner => Finding::bad(
            "somebody-else",
            format!("key {key} is {owner}'s, and this clone says that you are {me}"),
            format!("assay init --as {owner}, or plug in your own token"),
        ),
        _ => Finding::good(
            "policy",
            format!("key {key} is {owner}'s in the policy (root {})", chain.root.version),
        ),
    });
}
