//! The token: Trussed with the backends that opcard needs, run on the caller's thread.

use std::{cell::RefCell, rc::Rc};

use rand_chacha::ChaCha20Rng;
use trussed::{
    backend::{Backend as _, BackendId},
    pipe::ServiceEndpoint,
    platform::{Platform, Syscall},
    serde_extensions::{ExtensionDispatch, ExtensionId, ExtensionImpl},
    service::{Service, ServiceResources},
    types::{Context, CoreContext},
    virt::Store,
};
use trussed_auth::AuthExtension;
use trussed_auth_backend::{AuthBackend, AuthContext, FilesystemLayout};
use trussed_chunked::ChunkedExtension;
use trussed_core::{
    Error,
    api::{Reply, Request, reply, request},
    types::{Bytes, Location},
};
use trussed_staging::{StagingBackend, StagingContext};
use trussed_wrap_key_to_file::WrapKeyToFileExtension;

use crate::touch::Finger;

/// Who asks the token: the one application on it.
pub(crate) fn client() -> CoreContext {
    CoreContext::new("opcard".try_into().expect("a short path"))
}

/// What serves requests beside Trussed's core.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Backend {
    /// Files in chunks, and wrapped keys.
    Staging,
    /// PINs and their counters.
    Auth,
    /// RSA.
    Rsa,
}

/// In the order in which they are asked.
pub(crate) static BACKENDS: &[BackendId<Backend>] = &[
    BackendId::Custom(Backend::Staging),
    BackendId::Custom(Backend::Auth),
    BackendId::Custom(Backend::Rsa),
    BackendId::Core,
];

/// What a client may ask beyond Trussed's core.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Extension {
    Auth,
    WrapKeyToFile,
    Chunked,
}

impl From<Extension> for u8 {
    fn from(extension: Extension) -> Self {
        extension as Self
    }
}

impl TryFrom<u8> for Extension {
    type Error = Error;

    fn try_from(number: u8) -> Result<Self, Error> {
        let all = [Self::Auth, Self::WrapKeyToFile, Self::Chunked];
        all.get(usize::from(number)).copied().ok_or(Error::InternalError)
    }
}

/// Hands each request to the backend that serves it.
pub(crate) struct Dispatch {
    auth: AuthBackend,
    staging: StagingBackend,
}

impl Dispatch {
    pub(crate) fn new() -> Self {
        let hardware_key = Bytes::try_from(&b"virtual"[..]).expect("seven bytes fit");
        Self {
            auth: AuthBackend::with_hw_key(Location::Internal, hardware_key, FilesystemLayout::V0),
            staging: StagingBackend::new(),
        }
    }
}

/// What the backends remember of a client.
#[derive(Default)]
pub(crate) struct Contexts {
    auth: AuthContext,
    staging: StagingContext,
}

impl ExtensionDispatch for Dispatch {
    type BackendId = Backend;
    type Context = Contexts;
    type ExtensionId = Extension;

    fn core_request<P: Platform>(
        &mut self,
        backend: &Backend,
        context: &mut Context<Contexts>,
        request: &Request,
        resources: &mut ServiceResources<P>,
    ) -> Result<Reply, Error> {
        let Context { core, backends, .. } = context;
        match backend {
            Backend::Staging => self.staging.request(core, &mut backends.staging, request, resources),
            Backend::Auth => self.auth.request(core, &mut backends.auth, request, resources),
            Backend::Rsa => trussed_rsa_alloc::SoftwareRsa.request(core, &mut (), request, resources),
        }
    }

    fn extension_request<P: Platform>(
        &mut self,
        backend: &Backend,
        extension: &Extension,
        context: &mut Context<Contexts>,
        request: &request::SerdeExtension,
        resources: &mut ServiceResources<P>,
    ) -> Result<reply::SerdeExtension, Error> {
        let Context { core, backends, .. } = context;
        match (backend, extension) {
            (Backend::Auth, Extension::Auth) => {
                self.auth
                    .extension_request_serialized(core, &mut backends.auth, request, resources)
            }
            (Backend::Staging, Extension::WrapKeyToFile) => {
                ExtensionImpl::<WrapKeyToFileExtension>::extension_request_serialized(
                    &mut self.staging,
                    core,
                    &mut backends.staging,
                    request,
                    resources,
                )
            }
            (Backend::Staging, Extension::Chunked) => ExtensionImpl::<ChunkedExtension>::extension_request_serialized(
                &mut self.staging,
                core,
                &mut backends.staging,
                request,
                resources,
            ),
            _ => Err(Error::RequestNotAvailable),
        }
    }
}

impl ExtensionId<AuthExtension> for Dispatch {
    type Id = Extension;
    const ID: Extension = Extension::Auth;
}

impl ExtensionId<WrapKeyToFileExtension> for Dispatch {
    type Id = Extension;
    const ID: Extension = Extension::WrapKeyToFile;
}

impl ExtensionId<ChunkedExtension> for Dispatch {
    type Id = Extension;
    const ID: Extension = Extension::Chunked;
}

/// The platform: the operating system's entropy, a store, a finger.
pub(crate) struct Token<'a> {
    random: ChaCha20Rng,
    store: Store<'a>,
    finger: Finger,
}

impl<'a> Token<'a> {
    pub(crate) fn new(random: ChaCha20Rng, store: Store<'a>, finger: Finger) -> Self {
        Self { random, store, finger }
    }
}

impl<'a> Platform for Token<'a> {
    type R = ChaCha20Rng;
    type S = Store<'a>;
    type UI = Finger;

    fn rng(&mut self) -> &mut ChaCha20Rng {
        &mut self.random
    }

    fn store(&self) -> Store<'a> {
        self.store
    }

    fn user_interface(&mut self) -> &mut Finger {
        &mut self.finger
    }
}

type Shared<'a> = Rc<
    RefCell<(
        Service<Token<'a>, Dispatch>,
        Vec<ServiceEndpoint<'a, Backend, Contexts>>,
    )>,
>;

/// Runs the service whenever the application asks for something: `trussed::virt::Runner` polls once a millisecond.
pub(crate) struct Inline<'a>(Shared<'a>);

impl<'a> Inline<'a> {
    pub(crate) fn new(shared: Shared<'a>) -> Self {
        Self(shared)
    }
}

impl Syscall for Inline<'_> {
    fn syscall(&mut self) {
        let (service, endpoints) = &mut *self.0.borrow_mut();
        service.process(endpoints);
    }
}
