//! Every route.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post};
use tower_http::compression::CompressionLayer;

use super::state::AppState;
use super::{
    access, answering, error, events, examples, headers, headline, health, ingest, ledgers, lite,
    login, pages, pairing, queries, reload, screens, shared, small, sql, subscribe, views,
};
use crate::websocket::upgrade;

/// The whole outside of the server.
pub fn router(state: Arc<AppState>) -> Router {
    Router::new()
        // Pages
        .route("/", get(pages::get_index))
        .route("/screens/{name}", get(pages::get_index))
        .route("/devices", get(pages::get_index))
        .route("/sql", get(pages::get_sql))
        .route("/lite", get(lite::get_lite))
        .route("/maps/{file}", get(screens::get_map))
        // Operators
        .route("/healthz", get(health::get_health))
        .route("/readyz", get(health::get_readiness))
        .route("/metrics", get(health::get_metrics))
        .route("/api/reload", post(reload::reload_sql))
        // Figures
        .route("/api/views", get(views::list_views))
        .route("/api/views/{name}", get(views::get_view))
        .route("/api/screens/{name}", get(screens::get_screen))
        .route("/api/headline/{view}", get(headline::get_headline))
        .route("/api/ws", get(upgrade::upgrade_viewer))
        .route("/api/ws-ticket", post(access::create_ticket))
        .route("/api/session", get(login::get_session))
        .route("/api/login", post(login::log_in).layer(small::body_limit()))
        .route("/api/logout", post(login::log_out))
        .route("/api/events", get(events::stream_events))
        // Walls
        .route("/api/pairing", post(pairing::begin_pairing).layer(small::body_limit()))
        .route("/api/pairing/claim", post(pairing::claim_pairing).layer(small::body_limit()))
        .route(
            "/api/devices",
            get(pairing::list_devices).post(pairing::approve_device).layer(small::body_limit()),
        )
        .route("/api/devices/{id}/revoke", post(pairing::revoke_device))
        // Analysts
        .route("/api/sql", post(sql::run_query).layer(sql::body_limit()))
        .route("/api/sql/subscribe", post(subscribe::subscribe_query).layer(sql::body_limit()))
        .route("/api/queries", get(queries::list_queries))
        .route("/api/queries/shared", post(shared::share_query).layer(sql::body_limit()))
        .route("/api/queries/shared/{id}", get(shared::get_shared).delete(shared::remove_shared))
        .route("/q/{id}", get(shared::open_shared))
        .route("/api/queries/{id}", delete(queries::stop_query))
        .route("/api/examples", get(examples::list_examples))
        // Producers
        .route("/api/ingest/{stream}", post(ingest::append_lines))
        // Records that do not count
        .route("/api/ledgers/{ledger}", get(ledgers::list_entries))
        .route("/api/ledgers/{ledger}/remove", post(ledgers::remove_entries))
        .route("/api/ledgers/dead_letters/{stream}/replay", post(ledgers::replay_records))
        // Everything else is a file of the page or nothing.
        .fallback(get(pages::get_file))
        .method_not_allowed_fallback(error::refuse_method)
        .layer(from_fn_with_state(Arc::clone(&state), access::check_access))
        .layer(from_fn_with_state(Arc::clone(&state), headers::add_headers))
        .layer(CompressionLayer::new())
        .layer(from_fn(answering::count_request))
        .with_state(state)
}
