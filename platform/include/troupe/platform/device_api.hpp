#pragma once

// A platform as a table of function pointers. The table owns nothing but `keep_alive`, which keeps the
// functions callable. It is filled before it is shared; then any thread may call through it, under the rules
// of device_abi.h. Errors: the functions answer codes (device_codes.h).

#include <memory>
#include <string>

#include "troupe/platform/device_abi.h"

namespace troupe::platform {

// The names of the ABI, once: the table, the loader and the conformance suite are made from these lists.
// A library without one of these is refused when it is loaded.
#define TROUPE_DEVICE_REQUIRED_SYMBOLS(X) \
  X(create_device_context)                \
  X(destroy_device_context)               \
  X(set_device_option)                    \
  X(set_device)                           \
  X(reset_device)                         \
  X(finalize_device)                      \
  X(device_malloc_ctx)                    \
  X(device_free_ctx)                      \
  X(copy_to_device_ctx)                   \
  X(copy_from_device_ctx)                 \
  X(register_callable)                    \
  X(unregister_callable)                  \
  X(launch_runs)                          \
  X(run_runtime)                          \
  X(abort_runs)                           \
  X(device_properties)                    \
  X(device_status)                        \
  X(device_last_error)

// Windows, graphs, moves, the blocking layer over windows, and what hardware communicators want. A library
// may lack any.
#define TROUPE_DEVICE_OPTIONAL_SYMBOLS(X) \
  X(window_create)                        \
  X(window_import)                        \
  X(window_commit)                        \
  X(window_abort)                         \
  X(window_release)                       \
  X(register_graph)                       \
  X(launch_graph)                         \
  X(unregister_graph)                     \
  X(run_move)                             \
  X(comm_init)                            \
  X(comm_alloc_windows)                   \
  X(comm_get_local_window_base)           \
  X(comm_get_window_size)                 \
  X(comm_barrier)                         \
  X(comm_destroy)                         \
  X(comm_abort)                           \
  X(ensure_acl_ready_ctx)                 \
  X(create_comm_stream_ctx)               \
  X(destroy_comm_stream_ctx)

/// A platform, as a table of pointers: filled from a shared library by `DeviceLibrary`, from a script by
/// `ScriptedChip`, or by hand. Required entries are never null; an optional one is null where the platform
/// lacks it (`DeviceContext` turns a call to it into `Errc::unsupported`). Cheap enough to copy once per
/// context; immutable in use, so any number of threads may call through one table.
///
/// Why no virtual functions? A platform may be built by another compiler, against another version of the
/// standard library; C functions and plain structs are what both sides agree on.
struct DeviceApi {
  std::string name;  ///< for people: the library's path, "scripted"
  /// The functions of device_abi.h, under their names and with their contracts.
#define TROUPE_DEVICE_POINTER(symbol) decltype(&::symbol) symbol = nullptr;
  TROUPE_DEVICE_REQUIRED_SYMBOLS(TROUPE_DEVICE_POINTER)
  TROUPE_DEVICE_OPTIONAL_SYMBOLS(TROUPE_DEVICE_POINTER)
#undef TROUPE_DEVICE_POINTER
  const void* platform_data = nullptr;     ///< goes to `troupe_host::platform_data`
  std::shared_ptr<const void> keep_alive;  ///< what the pointers need to stay valid
};

}  // namespace troupe::platform
