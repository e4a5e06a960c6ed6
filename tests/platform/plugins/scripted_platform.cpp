// The scripted chip as a platform library: every context has a script of its own, nothing is global. The
// loader's, the isolation and the conformance tests run on it. It exports no
// optional function.
#include "platform/plugins/conformance_script.hpp"

using troupe::platform::DeviceApi;
using troupe::platform::ScriptedChip;

namespace {
// The functions of the table do not depend on the script; the handle knows its own.
DeviceApi functions() { return ScriptedChip{}.api(); }
}  // namespace

using Context = troupe_device_context;

#define FORWARD(symbol, parameters, arguments) \
  std::int32_t symbol parameters { return functions().symbol arguments; }

extern "C" {

#ifdef TROUPE_TEST_OTHER_VERSION
std::uint32_t troupe_device_abi_version(void) { return (7u << 16) | 3u; }
#else
std::uint32_t troupe_device_abi_version(void) { return TROUPE_DEVICE_ABI_VERSION; }
#endif

troupe_device_context* create_device_context(const troupe_host* host) {
  const auto chip = troupe::test::conformance_chip();
  troupe_host table{};
  if (host != nullptr) {
    table = *host;
  } else {
    table.abi_version = TROUPE_DEVICE_ABI_VERSION;
    table.size = sizeof(table);
  }
  const auto api = chip.api();
  table.platform_data = api.platform_data;
  return api.create_device_context(&table);
}

FORWARD(destroy_device_context, (Context * c), (c))
FORWARD(set_device_option, (Context * c, const char* name, const char* value), (c, name, value))
FORWARD(set_device, (Context * c, std::int32_t id), (c, id))
FORWARD(reset_device, (Context * c), (c))
FORWARD(finalize_device, (Context * c), (c))
FORWARD(device_malloc_ctx, (Context * c, std::uint64_t bytes, std::uint64_t* address), (c, bytes, address))
#ifdef TROUPE_TEST_FREES_TWICE
std::int32_t device_free_ctx(Context* c, std::uint64_t address) {
  const auto code = functions().device_free_ctx(c, address);
  return code == TROUPE_DEVICE_DOUBLE_FREE ? 0 : code;
}
#else
FORWARD(device_free_ctx, (Context * c, std::uint64_t address), (c, address))
#endif
FORWARD(copy_to_device_ctx, (Context * c, std::uint64_t d, const void* h, std::uint64_t n), (c, d, h, n))
FORWARD(copy_from_device_ctx, (Context * c, void* h, std::uint64_t d, std::uint64_t n), (c, h, d, n))
FORWARD(register_callable, (Context * c, const troupe_callable* what, std::uint64_t* id), (c, what, id))
FORWARD(unregister_callable, (Context * c, std::uint64_t id), (c, id))
FORWARD(launch_runs, (Context * c, const troupe_run* r, size_t n, std::uint64_t s), (c, r, n, s))
FORWARD(run_runtime, (Context * c, const troupe_run* run, troupe_completion* end), (c, run, end))
#ifdef TROUPE_TEST_CRASHES
std::int32_t abort_runs(Context*, std::uint64_t) { __builtin_trap(); }
#elif !defined(TROUPE_TEST_LACKS_SYMBOLS)
FORWARD(abort_runs, (Context * c, std::uint64_t correlation), (c, correlation))
#endif
FORWARD(device_properties, (Context * c, troupe_device_properties* out), (c, out))
#ifndef TROUPE_TEST_LACKS_SYMBOLS
FORWARD(device_status, (Context * c, troupe_device_status* s, troupe_core_status* b, size_t n, size_t* count),
        (c, s, b, n, count))
#endif
FORWARD(run_move, (Context * c, const troupe_move* move), (c, move))
FORWARD(device_last_error, (Context * c, std::int32_t* code, char* text, size_t n), (c, code, text, n))
}  // extern "C"
