//! The verifying fetcher: bounded transport and the TUF client workflow.
