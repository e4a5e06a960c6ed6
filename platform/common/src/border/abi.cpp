// The required symbols of the device ABI. What each one promises stands in device_abi.h.

#include <memory>

#include "border/abi_guard.hpp"
#include "troupe/runtime/thrown.hpp"

using namespace troupe;
using namespace troupe::platform;
using namespace troupe::platform::common;

extern "C" {

uint32_t troupe_device_abi_version(void) { return TROUPE_DEVICE_ABI_VERSION; }

troupe_device_context* create_device_context(const troupe_host* host) {
  if (host != nullptr && (host->abi_version >> 16) != TROUPE_DEVICE_ABI_MAJOR) {
    if (host->log != nullptr) {
      host->log(host->data, TROUPE_LOG_ERROR, TROUPE_DEVICE_VERSION_MISMATCH,
                "create_device_context: the host speaks another version of the device ABI");
    }
    return nullptr;
  }
  try {
    return std::make_unique<troupe_device_context>(host).release();
  } catch (const std::exception& failure) {
    if (host != nullptr && host->log != nullptr) {
      host->log(host->data, TROUPE_LOG_ERROR, TROUPE_DEVICE_SYSTEM,
                ("create_device_context: " + runtime::text_of(failure)).c_str());
    }
    return nullptr;
  }
}

int32_t destroy_device_context(troupe_device_context* context) {
  if (context == nullptr) return TROUPE_DEVICE_OK;
  const int32_t code = guarded(context, "destroy_device_context", [&] { return context->finalize(); });
  if (code == TROUPE_DEVICE_OK) delete context;
  return code;
}

int32_t set_device_option(troupe_device_context* context, const char* name, const char* value) {
  return guarded(context, "set_device_option", [&] { return context->set_option(name, value); });
}

int32_t set_device(troupe_device_context* context, int32_t device_id) {
  return guarded(context, "set_device", [&] { return context->set_device(device_id); });
}

int32_t reset_device(troupe_device_context* context) {
  return guarded(context, "reset_device", [&] { return context->reset(); });
}

int32_t finalize_device(troupe_device_context* context) {
  return guarded(context, "finalize_device", [&] { return context->finalize(); });
}

int32_t device_malloc_ctx(troupe_device_context* context, uint64_t bytes, uint64_t* address) {
  return on_device(context, "device_malloc_ctx", [&](Chip& chip) -> Result<void> {
    if (address == nullptr) return null_argument("address");
    auto made = chip.allocate(bytes);
    if (!made) return made.error();
    *address = *made;
    return {};
  });
}

int32_t device_free_ctx(troupe_device_context* context, uint64_t address) {
  return on_device(context, "device_free_ctx", [&](Chip& chip) { return chip.release(address); });
}

int32_t copy_to_device_ctx(troupe_device_context* context, uint64_t device_address, const void* host,
                           uint64_t bytes) {
  return on_device(context, "copy_to_device_ctx", [&](Chip& chip) -> Result<void> {
    if (bytes == 0) return {};
    if (host == nullptr) return null_argument("host");
    return chip.write(device_address, host, bytes);
  });
}

int32_t copy_from_device_ctx(troupe_device_context* context, void* host, uint64_t device_address,
                             uint64_t bytes) {
  return on_device(context, "copy_from_device_ctx", [&](Chip& chip) -> Result<void> {
    if (bytes == 0) return {};
    if (host == nullptr) return null_argument("host");
    return chip.read(host, device_address, bytes);
  });
}

int32_t register_callable(troupe_device_context* context, const troupe_callable* callable, uint64_t* id) {
  return on_device(context, "register_callable", [&](Chip& chip) -> Result<void> {
    if (callable == nullptr) return null_argument("callable");
    if (id == nullptr) return null_argument("id");
    auto added = chip.callables().add(*callable);
    if (!added) return added.error();
    *id = *added;
    return {};
  });
}

int32_t unregister_callable(troupe_device_context* context, uint64_t id) {
  return on_device(context, "unregister_callable", [&](Chip& chip) { return chip.callables().remove(id); });
}

int32_t launch_runs(troupe_device_context* context, const troupe_run* runs, size_t count, uint64_t settled) {
  return on_device(context, "launch_runs", [&](Chip& chip) -> Result<void> {
    if (runs == nullptr && count != 0) return null_argument("runs");
    return chip.launch({runs, count}, settled);
  });
}

int32_t run_runtime(troupe_device_context* context, const troupe_run* run, troupe_completion* completion) {
  return on_device(context, "run_runtime", [&](Chip& chip) -> Result<void> {
    if (run == nullptr) return null_argument("run");
    const Outcome outcome = chip.run_and_wait(*run, completion);
    if (outcome.ok()) return {};
    return Error(ErrorCode{outcome.code, "run"}, outcome.message);
  });
}

int32_t abort_runs(troupe_device_context* context, uint64_t correlation) {
  return on_device(context, "abort_runs", [&](Chip& chip) { return chip.abort(correlation); });
}

int32_t device_properties(troupe_device_context* context, troupe_device_properties* properties) {
  return guarded(context, "device_properties", [&]() -> Result<void> {
    if (properties == nullptr) return null_argument("properties");
    return context->describe(*properties);
  });
}

int32_t device_status(troupe_device_context* context, troupe_device_status* status, troupe_core_status* cores,
                      size_t capacity, size_t* count) {
  return guarded(context, "device_status", [&]() -> Result<void> {
    if (status == nullptr) return null_argument("status");
    if (count == nullptr) return null_argument("count");
    return context->report(*status, cores, capacity, *count);
  });
}

int32_t device_last_error(troupe_device_context* context, int32_t* code, char* text, size_t capacity) {
  if (context == nullptr) return TROUPE_DEVICE_INVALID_ARGUMENT;
  context->last_error(code, text, capacity);
  return TROUPE_DEVICE_OK;
}
}
