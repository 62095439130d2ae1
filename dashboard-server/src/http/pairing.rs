//! Pairing walls, and the list of those that are paired.
//!
//! ```text
//! wall      POST /api/pairing ─▶ six digits ── POST /api/pairing/claim, every 2 s ─▶ cookie of a device
//! approver                 POST /api/devices {code, name, screens} ─┘
//! ```

use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::{Client, DEVICE_COOKIE, cookie_answer, no_random};
use super::error::ApiError;
use super::small::Small;
use super::state::AppState;
use crate::auth::devices::{Device, Devices, DevicesError};
use crate::auth::pairing::{CODE_MS, Claim, PairingError};
use crate::auth::{Admitted, Principal};

/// How often a wall asks whether it was approved, ms.
const CLAIM_EVERY_MS: u32 = 2_000;
/// How long a wall keeps its cookie: the longest that browsers do.
const DEVICE_COOKIE_SECONDS: u64 = 400 * 24 * 3_600;

/// `POST /api/pairing`: a code for a wall to show.
///
/// # Errors
/// When nobody needs to be paired here, or too many codes are open.
pub async fn begin_pairing(
    State(state): State<Arc<AppState>>,
    ConnectInfo(from): ConnectInfo<Client>,
) -> Result<Json<Value>, ApiError> {
    if state.gate.doorman.anyone().is_some() {
        let message = "this server asks nobody for a key, so there is nothing to pair for";
        return Err(ApiError::Refused { message: message.to_owned() });
    }
    let begun = state.gate.pairing.begin(from.address)?;
    Ok(Json(json!({
        "code": begun.code, "secret": begun.secret, "expiresInMs": CODE_MS, "claimEveryMs": CLAIM_EVERY_MS,
    })))
}

/// Body of `POST /api/pairing/claim`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claimed {
    secret: String,
}

/// `POST /api/pairing/claim`: 202 while nobody has approved the wall, 204 with its cookie when someone has.
///
/// # Errors
/// When its code is too old, or there are too many devices.
pub async fn claim_pairing(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    Small(body): Small,
) -> Result<Response, ApiError> {
    let claimed: Claimed = serde_json::from_slice(&body)
        .map_err(|_| ApiError::bad_request("the body must be {\"secret\":\"…\"}"))?;
    match state.gate.pairing.claim(&claimed.secret) {
        Claim::Waiting => {
            Ok((StatusCode::ACCEPTED, Json(json!({"state": "waiting"}))).into_response())
        }
        Claim::Gone => Err(ApiError::Gone { message: "this code is over; ask for another".into() }),
        Claim::Granted(device) => {
            let token = in_background(&state, move |devices| devices.add(device)).await?;
            cookie_answer(&headers, (DEVICE_COOKIE, &token), DEVICE_COOKIE_SECONDS)
        }
    }
}

/// `GET /api/devices`: paired walls, those that wait for a code to be said, and the screens there are.
pub async fn list_devices(State(state): State<Arc<AppState>>) -> Json<Value> {
    let now = state.clock.now_ms();
    let devices: Vec<Value> = state
        .gate
        .devices
        .all()
        .into_iter()
        .map(|(device, seen_at_ms)| {
            let mut entry = json!(device);
            entry["seenAtMs"] = json!(seen_at_ms);
            entry
        })
        .collect();
    let waiting: Vec<Value> = state
        .gate
        .pairing
        .waiting()
        .into_iter()
        .map(|wall| json!({"address": wall.address, "leftMs": wall.until_ms.saturating_sub(now)}))
        .collect();
    let screens: Vec<String> = state.screens.read().names().map(str::to_owned).collect();
    Json(json!({"devices": devices, "waiting": waiting, "screens": screens}))
}

/// Body of `POST /api/devices`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Approval {
    code: String,
    name: String,
    /// Screens the wall shows; all when not given.
    screens: Option<Vec<String>>,
}

/// `POST /api/devices`: approves the wall that shows a code.
///
/// # Errors
/// When no wall shows it, a screen is not there, or the approver was wrong too often.
pub async fn approve_device(
    State(state): State<Arc<AppState>>,
    Extension(admitted): Extension<Admitted>,
    Small(body): Small,
) -> Result<Json<Value>, ApiError> {
    let told = "the body must be {\"code\":\"123456\",\"name\":\"…\",\"screens\":[\"…\"]}";
    let approval: Approval =
        serde_json::from_slice(&body).map_err(|_| ApiError::bad_request(told))?;
    Devices::check_name(&approval.name)?;
    check_screens(&state, approval.screens.as_deref())?;
    let principal: &Principal = &admitted.principal;
    let device = Device {
        id: Devices::new_id().map_err(|error| no_random(&error))?,
        name: approval.name,
        screens: approval.screens,
        paired_by: principal.name.clone(),
        paired_at_ms: state.clock.now_ms(),
    };
    let answer = json!({"id": device.id, "name": device.name, "screens": device.screens});
    let (id, name) = (device.id.clone(), device.name.clone());
    let address = state.gate.pairing.approve(&approval.code, device)?;
    tracing::info!(
        user = principal.name, device = id, %address,
        "{} paired device {id} ({name}) at {address}", principal.name
    );
    let mut answer = answer;
    answer["address"] = json!(address);
    Ok(Json(answer))
}

fn check_screens(state: &AppState, screens: Option<&[String]>) -> Result<(), ApiError> {
    let known = state.screens.read();
    let screens = screens.unwrap_or_default();
    if let Some(unknown) = screens.iter().find(|name| known.screen(name).is_none()) {
        let names: Vec<&str> = known.names().collect();
        return Err(ApiError::bad_request(format!(
            "there is no screen {unknown:?}; the files of sql/screens are: {}",
            names.join(", ")
        )));
    }
    Ok(())
}

/// `POST /api/devices/{id}/revoke`: takes a wall out; it shows the pairing again at once.
///
/// # Errors
/// When there is none of this id.
pub async fn revoke_device(
    State(state): State<Arc<AppState>>,
    Extension(admitted): Extension<Admitted>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let wanted = id.clone();
    let device = in_background(&state, move |devices| devices.revoke(&wanted)).await?;
    let device = device.ok_or_else(|| ApiError::not_found(format!("there is no device {id:?}")))?;
    let user = &admitted.principal.name;
    tracing::info!(user, device = id, "{user} revoked device {id} ({})", device.name);
    Ok(StatusCode::NO_CONTENT)
}

/// Writing the file waits for the disk.
async fn in_background<T: Send + 'static>(
    state: &AppState,
    work: impl FnOnce(&Devices) -> Result<T, DevicesError> + Send + 'static,
) -> Result<T, ApiError> {
    let gate = Arc::clone(&state.gate);
    let stopped = |_| ApiError::Internal { message: "the change was stopped".to_owned() };
    Ok(tokio::task::spawn_blocking(move || work(&gate.devices)).await.map_err(stopped)??)
}

impl From<PairingError> for ApiError {
    fn from(error: PairingError) -> Self {
        let message = error.to_string();
        match error {
            PairingError::TooMany(wait) => Self::busy_for(message, wait),
            PairingError::NoSuchCode => Self::NotFound { message },
            PairingError::NoCode => Self::Internal { message },
        }
    }
}

impl From<DevicesError> for ApiError {
    fn from(error: DevicesError) -> Self {
        let message = error.to_string();
        match error {
            DevicesError::Full => Self::Refused { message },
            DevicesError::Name => Self::BadRequest { message },
            DevicesError::File { .. } | DevicesError::Form { .. } => {
                tracing::error!(%error, "the devices cannot be written: {error}");
                Self::Internal { message: "the devices cannot be written; the log says why".into() }
            }
        }
    }
}
