// What a context says of its device.
#include <algorithm>
#include <cstring>

#include "host/context.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::isolation {
namespace {

/// A status is asked for by who must not wait.
constexpr std::uint64_t status_patience_ms = 200;

}  // namespace

std::int32_t Context::properties(troupe_device_properties* properties) {
  if (properties == nullptr) return null_argument("properties");
  if (properties->size < sizeof *properties) {
    return note(TROUPE_DEVICE_INVALID_ARGUMENT,
                "troupe_device_properties of " + std::to_string(properties->size) + " bytes");
  }
  const auto answer = ask(Kind::properties, Writer());
  if (answer.code == TROUPE_DEVICE_REENTRANT_CALL) return note(answer);
  const std::lock_guard lock(mutex_);
  if (answer.code == 0) {
    Reader reader(answer.more);
    auto told = reader.get<troupe_device_properties>();
    const std::string name(reader.text());
    if (!reader.complete()) return note(bad_answer());
    told.size = sizeof told;
    told.architecture[sizeof told.architecture - 1] = '\0';
    // They are functions of its own process, which nobody here can call or share memory with.
    told.features &= ~static_cast<std::uint32_t>(TROUPE_FEATURE_HOST_KERNELS);
    // Two chips have their memory in two processes.
    told.features &= ~static_cast<std::uint32_t>(TROUPE_FEATURE_MOVES);
    if (settings_->reach) {
      // Of the node's chips it is one; its rank programs do not meet those of other machines.
      told.features &= ~static_cast<std::uint32_t>(TROUPE_FEATURE_COMM);
      told.device_count = 1;
      told.device_id = std::min(told.device_id, 0);
    }
    told.device_name = nullptr;
    if (!name.empty()) {
      if (device_names_.empty() || device_names_.back() != name) device_names_.push_back(name);
      told.device_name = device_names_.back().c_str();
    }
    properties_ = told;
  } else if (properties_.size == 0) {
    return note(answer);
  }
  *properties = properties_;
  return 0;
}

std::int32_t Context::status(troupe_device_status* status, troupe_core_status* cores, std::size_t capacity,
                             std::size_t* count) {
  if (status == nullptr) return null_argument("status");
  if (count == nullptr) return null_argument("count");
  if (status->size < sizeof *status) {
    return note(TROUPE_DEVICE_INVALID_ARGUMENT,
                "troupe_device_status of " + std::to_string(status->size) + " bytes");
  }
  if (cores == nullptr && capacity != 0) return null_argument("cores");
  if (inside_callback()) {
    return note(TROUPE_DEVICE_REENTRANT_CALL, "the device ABI was called from inside a completion callback");
  }
  std::shared_ptr<Session> session;
  {
    const std::lock_guard lock(mutex_);
    if (!refusal(false)) session = session_;
  }
  troupe_device_status told{};
  std::vector<troupe_core_status> busy;
  bool fresh = false;
  if (session) {
    const auto answer = session->call(Kind::status, Writer(), {status_patience_ms * 2, status_patience_ms});
    Reader reader(answer.more);
    told = reader.get<troupe_device_status>();
    fresh = answer.code == 0 && reader.values(busy, reader.left() / sizeof(troupe_core_status)) &&
            reader.complete();
    if (fresh && busy.size() > 0) {
      for (auto& core : busy) {
        core.name[sizeof core.name - 1] = core.detail[sizeof core.detail - 1] = '\0';
        core.since_ns = here(core.since_ns);
      }
    }
  }
  const std::lock_guard lock(mutex_);
  if (!fresh) {
    told = {};
    busy.clear();
    told.state = state_ == State::ready ? TROUPE_STATE_READY : TROUPE_STATE_CREATED;
    if (session_ && death_.empty()) {
      // It does not say what it does, but it has written that down.
      for (const auto& one : session_->page().running()) {
        troupe_core_status core{};
        core.core = one.core;
        core.core_kind = one.core_kind;
        core.block = one.block;
        core.correlation = one.correlation;
        core.since_ns = one.since_ns;
        std::memcpy(core.name, one.name.c_str(), std::min(one.name.size() + 1, sizeof core.name));
        core.name[sizeof core.name - 1] = '\0';
        busy.push_back(core);
      }
    }
  }
  told.size = sizeof told;
  if (state_ == State::finalized) {
    told.state = TROUPE_STATE_FINALIZED;
  } else if (!death_.empty() && !ending_) {
    told.state = TROUPE_STATE_LOST;
  }
  std::uint64_t running = 0;
  for (const auto& flight : flights_) {
    if (!flight.ended && std::any_of(busy.begin(), busy.end(), [&](const troupe_core_status& core) {
          return core.correlation == flight.correlation;
        })) {
      ++running;
    }
  }
  if (!fresh) told.runs_running = running;
  told.runs_queued = unfinished_ - std::min<std::uint64_t>(unfinished_, told.runs_running);
  told.runs_completed = completed_;
  told.runs_failed = failed_;
  *status = told;
  *count = busy.size();
  std::copy_n(busy.begin(), std::min(capacity, busy.size()), cores);
  return 0;
}

}  // namespace troupe::platform::isolation
