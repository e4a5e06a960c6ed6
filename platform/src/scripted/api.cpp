#include <cstring>
#include <new>
#include <utility>

#include "context.hpp"
#include "troupe/platform/device_context.hpp"

// The C functions of the scripted platform: null checks, faults, exceptions into codes.
struct troupe_device_context {
  std::shared_ptr<troupe::platform::ScriptedContext> context;
};

namespace troupe::platform {

namespace {

constexpr std::int32_t invalid = TROUPE_DEVICE_INVALID_ARGUMENT;

/// Runs one function of the ABI. `name` null: no fault is planned for it here.
template <class Function>
std::int32_t call(troupe_device_context* handle, const char* name, Function&& function) noexcept {
  if (handle == nullptr) return invalid;
  try {
    const auto context = handle->context;
    if (context->inside_callback()) {
      return context->fail(Error{Errc::reentrant_call, "called from inside a completion callback"});
    }
    if (name != nullptr) {
      if (const auto fault = context->script()->fault_for_call(context->device_id(), name)) {
        return context->fail(device_error(fault->code, fault->text));
      }
    }
    Result<void> result = function(*context);
    return result ? 0 : context->fail(result.error());
  } catch (...) {
    return TROUPE_DEVICE_INTERNAL;  // no memory for the error itself
  }
}

Error null(const char* what) { return Error{Errc::invalid_argument, std::string{"null "} + what}; }

troupe_device_context* create(const troupe_host* host) noexcept {
  const auto refuse = [&](std::int32_t code, const char* text) -> troupe_device_context* {
    if (host != nullptr && host->log != nullptr) host->log(host->data, TROUPE_LOG_ERROR, code, text);
    return nullptr;
  };
  try {
    if (host == nullptr || host->platform_data == nullptr) {
      return refuse(invalid, "a scripted chip is created through ScriptedChip::api()");
    }
    if (host->size != sizeof(troupe_host) || host->abi_version >> 16 != TROUPE_DEVICE_ABI_MAJOR) {
      return refuse(TROUPE_DEVICE_VERSION_MISMATCH, "the host table is of another version");
    }
    auto& script = *static_cast<Script*>(const_cast<void*>(host->platform_data));
    if (script.magic != Script::magic_value) return refuse(invalid, "platform_data is no script");
    if (const auto fault = script.fault_for_call(-1, "create_device_context")) {
      return refuse(fault->code, fault->text.c_str());
    }
    auto handle = std::make_unique<troupe_device_context>();
    handle->context = std::make_shared<ScriptedContext>(script.shared_from_this(), host);
    std::lock_guard lock{script.mutex};
    std::erase_if(script.contexts, [](const auto& weak) { return weak.expired(); });
    script.contexts.push_back(handle->context);
    ++script.live;
    return handle.release();
  } catch (...) {
    return refuse(TROUPE_DEVICE_INTERNAL, "no memory for a context");
  }
}

std::int32_t destroy(troupe_device_context* handle) noexcept {
  if (handle == nullptr) return 0;
  const auto code = call(handle, "destroy_device_context", [](ScriptedContext& c) { return c.destroy(); });
  if (code == 0) {
    const auto script = handle->context->script();
    {
      std::lock_guard lock{script->mutex};
      --script->live;
    }
    delete handle;
  }
  return code;
}

std::int32_t last_error(troupe_device_context* handle, std::int32_t* code, char* text,
                        std::size_t capacity) noexcept {
  if (handle == nullptr || code == nullptr || (text == nullptr && capacity != 0)) return invalid;
  try {
    std::string words;
    handle->context->last_error(*code, words);
    if (capacity != 0) {
      const auto length = std::min(words.size(), capacity - 1);
      std::memcpy(text, words.data(), length);
      text[length] = '\0';
    }
    return 0;
  } catch (...) {
    return TROUPE_DEVICE_INTERNAL;
  }
}

template <class Value>
Result<void> store(Result<Value> result, Value* out) {
  if (!result) return result.error();
  *out = *result;
  return {};
}

}  // namespace

DeviceApi ScriptedChip::api() const {
  using Handle = troupe_device_context*;
  using Context = ScriptedContext;
  DeviceApi api;
  api.name = script_->options.architecture;
  api.platform_data = script_.get();
  api.keep_alive = script_;
  api.create_device_context = create;
  api.destroy_device_context = destroy;
  api.device_last_error = last_error;
  api.set_device_option = [](Handle h, const char* name, const char* value) {
    return call(h, "set_device_option", [&](Context& c) -> Result<void> {
      if (name == nullptr || value == nullptr) return null("option");
      return c.set_option(name, value);
    });
  };
  api.set_device = [](Handle h, std::int32_t id) {  // its fault is asked for with the device's number
    return call(h, nullptr, [&](Context& c) { return c.set_device(id); });
  };
  api.reset_device = [](Handle h) { return call(h, "reset_device", [](Context& c) { return c.reset(); }); };
  api.finalize_device = [](Handle h) {
    return call(h, "finalize_device", [](Context& c) { return c.finalize(); });
  };
  api.device_malloc_ctx = [](Handle h, std::uint64_t bytes, std::uint64_t* address) {
    return call(h, "device_malloc_ctx", [&](Context& c) -> Result<void> {
      if (address == nullptr) return null("address");
      return store(c.malloc(bytes), address);
    });
  };
  api.device_free_ctx = [](Handle h, std::uint64_t address) {
    return call(h, "device_free_ctx", [&](Context& c) { return c.free(address); });
  };
  api.copy_to_device_ctx = [](Handle h, std::uint64_t device, const void* host, std::uint64_t bytes) {
    return call(h, "copy_to_device_ctx", [&](Context& c) { return c.copy_to(device, host, bytes); });
  };
  api.copy_from_device_ctx = [](Handle h, void* host, std::uint64_t device, std::uint64_t bytes) {
    return call(h, "copy_from_device_ctx", [&](Context& c) { return c.copy_from(host, device, bytes); });
  };
  api.run_move = [](Handle h, const troupe_move* move) {
    return call(h, "run_move", [&](Context& c) -> Result<void> {
      if (move == nullptr) return null("move");
      if (move->from.context != h && move->to.context != h)
        return Error{Errc::invalid_argument, "neither side is memory of this context"};
      const auto of = [](Handle side) { return side == nullptr ? nullptr : side->context.get(); };
      return c.move(*move, of(move->from.context), of(move->to.context));
    });
  };
  api.register_callable = [](Handle h, const troupe_callable* callable, std::uint64_t* id) {
    return call(h, "register_callable", [&](Context& c) -> Result<void> {
      if (callable == nullptr || id == nullptr) return null("callable or id");
      return store(c.register_callable(*callable), id);
    });
  };
  api.unregister_callable = [](Handle h, std::uint64_t id) {
    return call(h, "unregister_callable", [&](Context& c) { return c.unregister_callable(id); });
  };
  api.launch_runs = [](Handle h, const troupe_run* runs, std::size_t count, std::uint64_t settled) {
    return call(h, "launch_runs", [&](Context& c) { return c.launch(runs, count, settled); });
  };
  api.run_runtime = [](Handle h, const troupe_run* run, troupe_completion* completion) {
    return call(h, "run_runtime", [&](Context& c) -> Result<void> {
      if (run == nullptr) return null("run");
      return c.run_blocking(*run, completion);
    });
  };
  api.abort_runs = [](Handle h, std::uint64_t correlation) {
    return call(h, "abort_runs", [&](Context& c) { return c.abort(correlation); });
  };
  api.device_properties = [](Handle h, troupe_device_properties* properties) {
    return call(h, "device_properties", [&](Context& c) -> Result<void> {
      if (properties == nullptr) return null("properties");
      return c.properties(*properties);
    });
  };
  api.device_status = [](Handle h, troupe_device_status* status, troupe_core_status* cores,
                         std::size_t capacity, std::size_t* count) {
    return call(h, "device_status", [&](Context& c) -> Result<void> {
      if (status == nullptr || count == nullptr || (cores == nullptr && capacity != 0)) return null("status");
      return c.status(*status, cores, capacity, *count);
    });
  };
  api.window_create = [](Handle h, const troupe_window_spec* spec, std::uint64_t* window,
                         troupe_window_blob* blob) {
    return call(h, "window_create", [&](Context& c) -> Result<void> {
      if (spec == nullptr || window == nullptr || blob == nullptr) return null("window argument");
      return store(c.window_create(*spec, *blob), window);
    });
  };
  api.window_import = [](Handle h, std::uint64_t window, std::uint32_t rank, const troupe_window_blob* blob) {
    return call(h, "window_import", [&](Context& c) -> Result<void> {
      if (blob == nullptr) return null("blob");
      return c.window_import(window, rank, *blob);
    });
  };
  api.window_commit = [](Handle h, std::uint64_t window, troupe_window_view* view) {
    return call(h, "window_commit", [&](Context& c) -> Result<void> {
      if (view == nullptr) return null("view");
      return store(c.window_commit(window), view);
    });
  };
  api.window_abort = [](Handle h, std::uint64_t window, std::int32_t code, std::uint32_t rank) {
    return call(h, "window_abort", [&](Context& c) { return c.window_abort(window, code, rank); });
  };
  api.window_release = [](Handle h, std::uint64_t window) {
    return call(h, "window_release", [&](Context& c) { return c.window_release(window); });
  };
  return api;
}

}  // namespace troupe::platform
