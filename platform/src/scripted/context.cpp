#include "context.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "troupe/platform/device_context.hpp"
#include "troupe/platform/host_threads.hpp"
#include "troupe/platform/move_runs.hpp"

// Everything of a scripted context but its runs.
namespace troupe::platform {

ScriptedContext::ScriptedContext(std::shared_ptr<Script> script, const troupe_host* host)
    : script_(std::move(script)), memory_(script_->options.memory_bytes) {
  if (host != nullptr) host_ = *host;
  if (script_->options.manual || (host_.post != nullptr && host_.now != nullptr)) return;
  own_host_ = std::make_shared<HostThreads>();
}

Result<void> ScriptedContext::need_ready() const {
  switch (state_) {
    case TROUPE_STATE_READY:
      return {};
    case TROUPE_STATE_CREATED:
      return Error{Errc::invalid_state, "no device is set"};
    case TROUPE_STATE_LOST:
      return Error{Errc::lost, "device " + std::to_string(device_id_) + " was lost"};
    case TROUPE_STATE_QUARANTINED:
      return Error{Errc::quarantined, "the context is quarantined"};
    default:
      return Error{Errc::finalized, "the context is finalized"};
  }
}

Result<void> ScriptedContext::set_option(const std::string& name, const std::string& value) {
  std::lock_guard lock{mutex_};
  if (state_ != TROUPE_STATE_CREATED) {
    if (auto ready = need_ready(); !ready) return ready;
    return Error{Errc::invalid_state, "options are set before set_device"};
  }
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  const bool parsed = error == std::errc{} && end == value.data() + value.size();
  if (parsed && name == "grace_ms") {
    grace_ms_ = std::min<std::uint64_t>(number, INT64_MAX);
  } else if (parsed && name == "memory_bytes") {
    memory_.set_limit(std::min(number, script_->options.memory_bytes));
  } else {
    return Error{Errc::unknown_option, "no option '" + name + "' with the value '" + value + "'"};
  }
  return {};
}

Result<void> ScriptedContext::set_device(std::int32_t device_id) {
  std::lock_guard lock{mutex_};
  if (state_ == TROUPE_STATE_READY) {
    return Error{Errc::invalid_state, "device " + std::to_string(device_id_) + " is already set"};
  }
  if (state_ != TROUPE_STATE_CREATED) return need_ready();
  if (device_id < 0 || static_cast<std::uint32_t>(device_id) >= script_->options.device_count) {
    return Error{Errc::no_such_device, "no device " + std::to_string(device_id) + ": there are " +
                                           std::to_string(script_->options.device_count)};
  }
  if (const auto fault = script_->fault_for_call(device_id, "set_device")) {
    return device_error(fault->code, fault->text);
  }
  state_ = TROUPE_STATE_READY;
  device_id_ = device_id;
  return {};
}

Result<void> ScriptedContext::reset() {
  Lock lock{mutex_};
  if (state_ == TROUPE_STATE_CREATED) return {};
  if (state_ == TROUPE_STATE_FINALIZED || state_ == TROUPE_STATE_LOST) return need_ready();
  auto ended = end_everything(lock, "reset_device");
  if (!ended) return ended;
  state_ = TROUPE_STATE_CREATED;
  device_id_ = -1;
  return {};
}

Result<void> ScriptedContext::finalize() {
  Lock lock{mutex_};
  if (state_ == TROUPE_STATE_FINALIZED) return {};
  auto ended = end_everything(lock, "finalize_device");
  if (!ended) return ended;
  state_ = TROUPE_STATE_FINALIZED;
  device_id_ = -1;
  return {};
}

Result<void> ScriptedContext::destroy() {
  Lock lock{mutex_};
  auto ended = end_everything(lock, "destroy_device_context");
  if (!ended) return ended;
  destroyed_ = true;
  changed_.notify_all();
  return {};
}

Result<std::uint64_t> ScriptedContext::malloc(std::uint64_t bytes) {
  std::lock_guard lock{mutex_};
  if (auto ready = need_ready(); !ready) return ready.error();
  return memory_.allocate(bytes);
}

bool ScriptedContext::in_use(const std::function<bool(std::uint64_t)>& inside) const {
  const auto uses = [&](const std::shared_ptr<ScriptedRun>& run) {
    for (const auto& arg : run->tensors) {
      if (arg.address_space == TROUPE_SPACE_DEVICE && inside(arg.buffer)) return true;
    }
    for (const auto scalar : run->scalars) {
      if (inside(scalar)) return true;
    }
    return false;
  };
  return std::any_of(queue_.begin(), queue_.end(), uses) || std::any_of(stuck_.begin(), stuck_.end(), uses);
}

Result<void> ScriptedContext::free(std::uint64_t address) {
  std::lock_guard lock{mutex_};
  if (auto ready = need_ready(); !ready) return ready;
  if (address == 0) return {};
  if (memory_.block_of(address) == address &&
      in_use([&](std::uint64_t used) { return memory_.block_of(used) == address; })) {
    return Error{Errc::busy, "an unfinished run uses the allocation at " + hex(address)};
  }
  return memory_.free(address);
}

Result<void> ScriptedContext::check_device(std::uint64_t address, std::uint64_t bytes) const {
  for (const auto& [id, window] : windows_) {
    if (!window.own->contains(address)) continue;
    const auto room = window.own->bytes - (address - address_of(window.own->memory.get()));
    if (bytes <= room) return {};
    return Error{Errc::out_of_range,
                 std::to_string(bytes) + " bytes at " + hex(address) + " leave the window"};
  }
  return memory_.check(address, bytes);
}

Result<void> ScriptedContext::copy_to(std::uint64_t device, const void* host, std::uint64_t bytes) {
  std::lock_guard lock{mutex_};
  if (auto ready = need_ready(); !ready) return ready;
  if (bytes == 0) return {};
  if (host == nullptr) return Error{Errc::invalid_argument, "null host memory"};
  if (auto known = check_device(device, bytes); !known) return known;
  std::memcpy(pointer_to(device), host, bytes);
  return {};
}

Result<void> ScriptedContext::copy_from(void* host, std::uint64_t device, std::uint64_t bytes) {
  std::lock_guard lock{mutex_};
  if (auto ready = need_ready(); !ready) return ready;
  if (bytes == 0) return {};
  if (host == nullptr) return Error{Errc::invalid_argument, "null host memory"};
  if (auto known = check_device(device, bytes); !known) return known;
  std::memcpy(host, pointer_to(device), bytes);
  return {};
}

/// With the locks of both, so that nothing is freed and nothing ends meanwhile.
Result<void> ScriptedContext::move(const troupe_move& move, ScriptedContext* from, ScriptedContext* to) {
  if (auto sound = check_move(move); !sound) return sound;
  Lock first, second;
  if (from != nullptr) first = Lock{from->mutex_, std::defer_lock};
  if (to != nullptr && to != from) second = Lock{to->mutex_, std::defer_lock};
  if (first.mutex() != nullptr && second.mutex() != nullptr) {
    std::lock(first, second);
  } else {
    first.mutex() != nullptr ? first.lock() : second.lock();
  }
  const auto check = [&](const ScriptedContext* context, const troupe_move_side& side) -> Result<void> {
    if (context != nullptr) {
      if (auto ready = context->need_ready(); !ready) return ready;
    }
    if (moves_nothing(move)) return {};
    const auto reach = reach_of(move, side);
    if (!reach) return Error{Errc::out_of_range, "more bytes than any memory has"};
    if (context != nullptr) return context->check_device(side.address, *reach);
    if (side.address == 0) return Error{Errc::invalid_argument, "null host memory"};
    return {};
  };
  if (auto fine = check(from, move.from); !fine) return fine;
  if (auto fine = check(to, move.to); !fine) return fine;
  return for_each_run_of(move, [](std::uint64_t out, std::uint64_t in, std::uint64_t bytes) -> Result<void> {
    std::memmove(pointer_to(in), pointer_to(out), bytes);
    return {};
  });
}

namespace {

Result<const troupe_callable_v1*> find_kernel(const troupe_module_v1& module, const std::string& name) {
  if (module.magic != TROUPE_MODULE_MAGIC || module.version != TROUPE_MODULE_VERSION ||
      module.callable_size < sizeof(troupe_callable_v1)) {
    return Error{Errc::bad_callable, "'" + name + "': not a module of this version"};
  }
  for (auto at = module.begin; at != module.end; ++at) {
    if (*at == nullptr || name != (*at)->name) continue;
    if ((*at)->kind == TROUPE_CALLABLE_KERNEL) return *at;
    if ((*at)->kind == TROUPE_CALLABLE_CHIP_PROGRAM) {
      return Error{Errc::bad_callable, "a scripted chip runs no chip programs: script '" + name + "'"};
    }
  }
  return Error{Errc::unknown_callable,
               std::string{"module '"} + module.name + "' has no kernel '" + name + "'"};
}

}  // namespace

Result<std::uint64_t> ScriptedContext::register_callable(const troupe_callable& callable) {
  if (callable.name == nullptr || callable.name[0] == '\0') {
    return Error{Errc::invalid_argument, "a callable without a name"};
  }
  const std::string name = callable.name;
  if (callable.module != nullptr && callable.bytes != nullptr) {
    return Error{Errc::invalid_argument, "'" + name + "' has both a module and bytes"};
  }
  if (callable.byte_count != 0 && callable.bytes == nullptr) {
    return Error{Errc::invalid_argument, "'" + name + "' has null bytes"};
  }
  std::lock_guard lock{mutex_};
  if (auto ready = need_ready(); !ready) return ready.error();
  for (const auto& [id, known] : callables_) {
    if (known->name == name) {
      return Error{Errc::already_registered, "'" + name + "' is registered as " + std::to_string(id)};
    }
  }
  auto entry = std::make_shared<ScriptedCallable>();
  entry->name = name;
  entry->script = script_->kernel(name);
  if (!entry->script) entry->script = script_->kernel(name.substr(0, name.find('@')));
  if (!entry->script) {
    if (callable.module == nullptr) {
      if (callable.bytes == nullptr) {
        return Error{Errc::invalid_argument, "'" + name + "' has neither a module nor bytes, and no script"};
      }
      return Error{Errc::bad_callable, "a scripted chip loads no foreign kernels: script '" + name + "'"};
    }
    auto found = find_kernel(*callable.module, name);
    if (!found) return found.error();
    entry->descriptor = *found;
  }
  callables_.emplace(next_id_, std::move(entry));
  return next_id_++;
}

Result<void> ScriptedContext::unregister_callable(std::uint64_t id) {
  std::lock_guard lock{mutex_};
  if (auto ready = need_ready(); !ready) return ready;
  if (callables_.erase(id) == 0) {
    return Error{Errc::unknown_callable, "no callable has the id " + std::to_string(id)};
  }
  return {};
}

Result<void> ScriptedContext::properties(troupe_device_properties& out) const {
  std::lock_guard lock{mutex_};
  const auto size = out.size;
  if (size != sizeof(out)) return Error{Errc::invalid_argument, "properties of another size"};
  const auto& options = script_->options;
  out = {};
  out.size = size;
  out.device_id = device_id_;
  options.architecture.copy(out.architecture, sizeof(out.architecture) - 1);
  out.device_count = options.device_count;
  out.features =
      TROUPE_FEATURE_MODULES | TROUPE_FEATURE_WINDOWS | TROUPE_FEATURE_HOST_KERNELS | TROUPE_FEATURE_MOVES;
  out.clusters = options.clusters;
  out.aic_per_cluster = 1;
  out.aiv_per_cluster = 2;
  out.control_threads = 1;
  out.max_tensors = runtime::limits::chip_tensors;
  out.max_scalars = runtime::limits::chip_scalars;
  out.queue_depth = options.queue_depth;
  out.memory_bytes = memory_.limit();
  out.counter_hz = 1'000'000'000;
  return {};
}

Result<void> ScriptedContext::status(troupe_device_status& out, troupe_core_status* cores,
                                     std::size_t capacity, std::size_t& count) const {
  std::lock_guard lock{mutex_};
  const auto size = out.size;
  if (size != sizeof(out)) return Error{Errc::invalid_argument, "a status of another size"};
  out = {};
  out.size = size;
  out.state = state_;
  out.runs_completed = completed_;
  out.runs_failed = failures_;
  out.allocations = memory_.allocations();
  out.memory_used = memory_.used();
  out.memory_peak = memory_.peak();
  out.callables = callables_.size();
  out.windows = windows_.size();
  count = 0;
  const auto busy = [&](const ScriptedRun& run) {
    if (count < capacity) {
      auto& core = cores[count];
      core = {};
      core.core_kind = TROUPE_CORE_AIV;
      core.activity =
          run.phase == ScriptedRun::Phase::waiting ? TROUPE_ACTIVITY_WAITING : TROUPE_ACTIVITY_RUNNING;
      core.correlation = run.correlation;
      core.since_ns = run.end.started_ns;
      run.callable->name.copy(core.name, sizeof(core.name) - 1);
    }
    ++count;
  };
  for (const auto& run : stuck_) busy(*run);
  for (const auto& run : queue_) {
    if (run->phase == ScriptedRun::Phase::queued) {
      ++out.runs_queued;
    } else {
      ++out.runs_running;
      busy(*run);
    }
  }
  return {};
}

std::int32_t ScriptedContext::fail(const Error& error) {
  std::lock_guard lock{error_mutex_};
  error_code_ = error.code().value;
  error_text_ = error.message();
  return error_code_;
}

void ScriptedContext::last_error(std::int32_t& code, std::string& text) const {
  std::lock_guard lock{error_mutex_};
  code = error_code_;
  text = error_text_;
}

std::int32_t ScriptedContext::device_id() const {
  std::lock_guard lock{mutex_};
  return device_id_;
}

}  // namespace troupe::platform
