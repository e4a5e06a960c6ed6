// The optional symbols of the device ABI: windows, and the blocking layer for rank programs.

#include "border/abi_guard.hpp"

using namespace troupe;
using namespace troupe::platform;
using namespace troupe::platform::common;

namespace {

template <class T, class U>
Result<void> give(Result<T> result, U* target) {
  if (!result) return result.error();
  *target = *result;
  return {};
}

/// For functions that need a chip with windows: body(WindowSet&).
template <class Body>
std::int32_t on_windows(troupe_device_context* context, const char* function, Body body) noexcept {
  return on_device(context, function, [&](Chip& chip) -> Result<void> {
    if (WindowSet* windows = chip.windows(); windows != nullptr) return body(*windows);
    return Error(Errc::unsupported, "this chip has no windows");
  });
}

}  // namespace

extern "C" {

int32_t window_create(troupe_device_context* context, const troupe_window_spec* spec, uint64_t* window,
                      troupe_window_blob* blob) {
  return on_windows(context, "window_create", [&](WindowSet& windows) -> Result<void> {
    if (spec == nullptr) return null_argument("spec");
    if (window == nullptr) return null_argument("window");
    if (blob == nullptr) return null_argument("blob");
    return give(windows.create(*spec, *blob), window);
  });
}

int32_t window_import(troupe_device_context* context, uint64_t window, uint32_t rank,
                      const troupe_window_blob* blob) {
  return on_windows(context, "window_import", [&](WindowSet& windows) -> Result<void> {
    if (blob == nullptr) return null_argument("blob");
    return windows.import(window, rank, *blob);
  });
}

int32_t window_commit(troupe_device_context* context, uint64_t window, troupe_window_view* view) {
  return on_windows(context, "window_commit", [&](WindowSet& windows) -> Result<void> {
    if (view == nullptr) return null_argument("view");
    return give(windows.commit(window), view);
  });
}

int32_t window_abort(troupe_device_context* context, uint64_t window, int32_t code, uint32_t rank) {
  return on_windows(context, "window_abort",
                    [&](WindowSet& windows) { return windows.abort(window, code, rank); });
}

int32_t window_release(troupe_device_context* context, uint64_t window) {
  return on_device(context, "window_release", [&](Chip& chip) { return chip.release_window(window); });
}

void* comm_init(troupe_device_context* context, int32_t rank, int32_t rank_count, void* /*stream*/,
                const char* rootinfo_path) {
  void* comm = nullptr;
  static_cast<void>(on_windows(context, "comm_init", [&](WindowSet& windows) {
    return give(windows.comm_init(rank, rank_count, rootinfo_path), &comm);
  }));
  return comm;
}

int32_t comm_alloc_windows(troupe_device_context* context, void* comm, uint64_t bytes,
                           uint64_t* context_address) {
  return on_windows(context, "comm_alloc_windows", [&](WindowSet& windows) -> Result<void> {
    if (context_address == nullptr) return null_argument("context_address");
    return give(windows.comm_alloc_windows(comm, bytes), context_address);
  });
}

int32_t comm_get_local_window_base(troupe_device_context* context, void* comm, uint64_t* address) {
  return on_windows(context, "comm_get_local_window_base", [&](WindowSet& windows) -> Result<void> {
    if (address == nullptr) return null_argument("address");
    return give(windows.comm_window_base(comm), address);
  });
}

int32_t comm_get_window_size(troupe_device_context* context, void* comm, uint64_t* bytes) {
  return on_windows(context, "comm_get_window_size", [&](WindowSet& windows) -> Result<void> {
    if (bytes == nullptr) return null_argument("bytes");
    return give(windows.comm_window_size(comm), bytes);
  });
}

int32_t comm_barrier(troupe_device_context* context, void* comm) {
  return on_windows(context, "comm_barrier", [&](WindowSet& windows) { return windows.comm_barrier(comm); });
}

int32_t comm_destroy(troupe_device_context* context, void* comm) {
  return on_windows(context, "comm_destroy", [&](WindowSet& windows) { return windows.comm_destroy(comm); });
}

int32_t comm_abort(troupe_device_context* context) {
  return on_windows(context, "comm_abort", [](WindowSet& windows) -> Result<void> {
    windows.comm_abort();
    return {};
  });
}
}
