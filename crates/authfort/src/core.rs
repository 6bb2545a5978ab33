//! What all modules below the handle share: the services, and the actor of a call.

use std::fmt;
use std::sync::{Arc, Weak};

use chrono::{DateTime, Utc};
use tokio::task::JoinSet;

use crate::config::Config;
use crate::db::Db;
use crate::delivery::Delivery;
use crate::hooks::Hooks;
use crate::metrics::GuardChecks;
use crate::model::actor::Actor;
use crate::passwords::Passwords;
use crate::standings::Standings;
use crate::tail::Tail;
use crate::tokens::{Keyring, Rules};
#[cfg(feature = "webhooks")]
use crate::webhook_client::WebhookClient;

/// Cheap to clone.
#[derive(Clone)]
pub struct Core {
    services: Arc<Services>,
    actor: Arc<Actor>,
}

pub(crate) struct Services {
    pub db: Db,
    pub config: Config,
    pub tail: Arc<Tail>,
    pub hooks: Hooks,
    pub delivery: Delivery,
    pub passwords: Passwords,
    pub keyring: Arc<Keyring>,
    pub rules: Rules,
    /// None if the guard asks the database for each request.
    pub standings: Option<Arc<Standings>>,
    pub guard_checks: GuardChecks,
    #[cfg(feature = "webhooks")]
    pub webhook_client: Arc<WebhookClient>,
    /// What runs beside the calls, and ends with this.
    #[expect(dead_code, reason = "the tasks are aborted when it is dropped")]
    pub tasks: JoinSet<()>,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("issuer", &self.services.config.issuer).finish_non_exhaustive()
    }
}

impl Core {
    pub(crate) fn new(services: Services) -> Self {
        Self { services: Arc::new(services), actor: Arc::default() }
    }

    pub(crate) fn by(&self, actor: Actor) -> Self {
        Self { services: Arc::clone(&self.services), actor: Arc::new(actor) }
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.services, &other.services)
    }

    /// Returns a handle for what the services own: it does not keep them alive.
    pub(crate) fn downgrade(&self) -> WeakCore {
        WeakCore(Arc::downgrade(&self.services))
    }

    #[cfg(feature = "webhooks")]
    pub(crate) fn webhook_client(&self) -> &Arc<WebhookClient> {
        &self.services.webhook_client
    }

    pub(crate) fn db(&self) -> &Db {
        &self.services.db
    }

    pub(crate) fn config(&self) -> &Config {
        &self.services.config
    }

    pub(crate) fn tail(&self) -> &Arc<Tail> {
        &self.services.tail
    }

    pub(crate) fn hooks(&self) -> &Hooks {
        &self.services.hooks
    }

    pub(crate) fn delivery(&self) -> &Delivery {
        &self.services.delivery
    }

    pub(crate) fn passwords(&self) -> &Passwords {
        &self.services.passwords
    }

    pub(crate) fn keyring(&self) -> &Arc<Keyring> {
        &self.services.keyring
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.services.rules
    }

    pub(crate) fn standings(&self) -> Option<&Standings> {
        self.services.standings.as_deref()
    }

    pub(crate) fn guard_checks(&self) -> &GuardChecks {
        &self.services.guard_checks
    }

    pub(crate) fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Returns the current time of the configured clock.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.services.config.clock.now()
    }
}

/// What the services own refers to them by this.
#[derive(Clone)]
pub(crate) struct WeakCore(Weak<Services>);

impl WeakCore {
    /// Returns the services, without an actor; none if the last handle was dropped.
    pub(crate) fn upgrade(&self) -> Option<Core> {
        Some(Core { services: self.0.upgrade()?, actor: Arc::default() })
    }
}
