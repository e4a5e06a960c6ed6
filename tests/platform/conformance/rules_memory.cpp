#include <limits>
#include <numeric>

#include "platform/conformance/rules.hpp"

// Device memory and copies; callables.
namespace troupe::conformance {

namespace {

constexpr std::uint64_t huge = std::numeric_limits<std::uint64_t>::max();

void allocate(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto& api = probe.api();
  std::vector<std::uint64_t> addresses;
  for (const std::uint64_t bytes : {1, 63, 64, 65, 4096, 100'000}) {
    const auto address = s.malloc(bytes);
    require(address != 0 && address % 64 == 0, "an allocation is not 64-byte aligned");
    std::vector<std::uint8_t> pattern(bytes);
    std::iota(pattern.begin(), pattern.end(), static_cast<std::uint8_t>(bytes));
    s.expect(0, "copy_to_device_ctx", api.copy_to_device_ctx, address,
             static_cast<const void*>(pattern.data()), bytes);
    addresses.push_back(address);
  }
  std::size_t i = 0;
  for (const std::uint64_t bytes : {1, 63, 64, 65, 4096, 100'000}) {
    std::vector<std::uint8_t> pattern(bytes), back(bytes);
    std::iota(pattern.begin(), pattern.end(), static_cast<std::uint8_t>(bytes));
    s.expect(0, "copy_from_device_ctx", api.copy_from_device_ctx, static_cast<void*>(back.data()),
             addresses[i], bytes);
    require(back == pattern, "an allocation of " + std::to_string(bytes) + " bytes lost its contents");
    s.expect(0, "device_free_ctx", api.device_free_ctx, addresses[i++]);
  }
}

void sizes(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto& api = probe.api();
  std::uint64_t address = 0;
  s.expect(TROUPE_DEVICE_INVALID_ARGUMENT, "device_malloc_ctx of 0 bytes", api.device_malloc_ctx,
           std::uint64_t{0}, &address);
  const auto limit = probe.properties(s).memory_bytes;
  for (const auto bytes : {huge, huge - 63, huge / 2, limit + 1}) {
    s.expect(TROUPE_DEVICE_OUT_OF_MEMORY, "device_malloc_ctx of " + std::to_string(bytes) + " bytes",
             api.device_malloc_ctx, bytes, &address);
  }
  (void)s.malloc(64);
}

void memory_limit(Probe& probe) {
  const auto subject = probe.create();
  auto& s = *subject;
  const auto& api = probe.api();
  s.expect(0, "set_device_option(memory_bytes)", api.set_device_option, "memory_bytes", "1048576");
  s.set_device();
  require(probe.properties(s).memory_bytes == 1048576, "the properties do not show the memory limit");
  const auto most = s.malloc(900'000);
  std::uint64_t address = 0;
  s.expect(TROUPE_DEVICE_OUT_OF_MEMORY, "an allocation beyond memory_bytes", api.device_malloc_ctx,
           std::uint64_t{200'000}, &address);
  s.expect(0, "device_free_ctx", api.device_free_ctx, most);
  (void)s.malloc(900'000);
}

void frees(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto& api = probe.api();
  s.expect(0, "device_free_ctx(0)", api.device_free_ctx, std::uint64_t{0});
  const auto address = s.malloc(4096);
  s.expect(TROUPE_DEVICE_BAD_ADDRESS, "freeing the inside of an allocation", api.device_free_ctx,
           address + 64);
  s.expect(0, "device_free_ctx", api.device_free_ctx, address);
  s.expect(TROUPE_DEVICE_DOUBLE_FREE, "freeing twice", api.device_free_ctx, address);
  std::int64_t local = 0;
  s.expect(TROUPE_DEVICE_BAD_ADDRESS, "freeing host memory", api.device_free_ctx,
           static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&local)));
  s.expect(TROUPE_DEVICE_BAD_ADDRESS, "freeing address 1", api.device_free_ctx, std::uint64_t{1});
}

void copies(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto& api = probe.api();
  const auto address = s.malloc(256);
  std::vector<char> host(512, 'h');
  const auto to = [&](std::int32_t code, const char* what, std::uint64_t at, std::uint64_t bytes) {
    s.expect(code, std::string{"copy_to_device_ctx "} + what, api.copy_to_device_ctx, at,
             static_cast<const void*>(host.data()), bytes);
  };
  const auto from = [&](std::int32_t code, const char* what, std::uint64_t at, std::uint64_t bytes) {
    s.expect(code, std::string{"copy_from_device_ctx "} + what, api.copy_from_device_ctx,
             static_cast<void*>(host.data()), at, bytes);
  };
  to(0, "of all", address, 256);
  to(0, "of the last byte", address + 255, 1);
  from(0, "of the last byte", address + 255, 1);
  to(0, "of 0 bytes", address, 0);
  from(0, "of 0 bytes", address, 0);
  for (const auto& copy : {std::pair{address, std::uint64_t{257}},
                           {address + 255, std::uint64_t{2}},
                           {address + 1, huge},
                           {address + 128, huge - address}}) {
    to(TROUPE_DEVICE_OUT_OF_RANGE, "beyond the end", copy.first, copy.second);
    from(TROUPE_DEVICE_OUT_OF_RANGE, "beyond the end", copy.first, copy.second);
  }
  const auto outside = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(host.data()));
  to(TROUPE_DEVICE_BAD_ADDRESS, "to host memory", outside, 8);
  from(TROUPE_DEVICE_BAD_ADDRESS, "from host memory", outside, 8);
  to(TROUPE_DEVICE_BAD_ADDRESS, "to address 0", 0, 8);
  from(TROUPE_DEVICE_BAD_ADDRESS, "from address 0", 0, 8);
  s.expect(0, "device_free_ctx", api.device_free_ctx, address);
  to(TROUPE_DEVICE_BAD_ADDRESS, "to freed memory", address, 8);
  from(TROUPE_DEVICE_BAD_ADDRESS, "from freed memory", address, 8);
}

void accounting(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto status = [&] {
    troupe_device_status result{};
    result.size = sizeof(result);
    std::size_t count = 0;
    s.expect(0, "device_status", probe.api().device_status, &result, nullptr, std::size_t{0}, &count);
    return result;
  };
  const auto before = status();
  require(before.state == TROUPE_STATE_READY, "a context with a device is not 'ready'");
  const auto address = s.malloc(10'000);
  const auto during = status();
  require(during.allocations == before.allocations + 1, "an allocation is not counted");
  require(during.memory_used >= before.memory_used + 10'000, "used memory is not counted");
  s.expect(0, "device_free_ctx", probe.api().device_free_ctx, address);
  const auto after = status();
  require(after.allocations == before.allocations && after.memory_used == before.memory_used,
          "freed memory is still counted");
  require(after.memory_peak >= during.memory_used, "the peak is lower than what was used");
  troupe_device_status wrong{};
  wrong.size = 1;
  std::size_t count = 0;
  s.expect(TROUPE_DEVICE_INVALID_ARGUMENT, "device_status of another size", probe.api().device_status, &wrong,
           nullptr, std::size_t{0}, &count);
}

void registering(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto& api = probe.api();
  const auto copy = s.kernel("conformance_copy");
  const auto fail = s.kernel("conformance_fail");
  require(copy != 0 && fail != 0 && copy != fail, "callable ids are 0 or not unique");
  std::uint64_t id = 0;
  troupe_callable callable{};
  callable.name = "conformance_copy";
  callable.module = &probe.module();
  s.expect(TROUPE_DEVICE_ALREADY_REGISTERED, "a name that is taken", api.register_callable, &callable, &id);
  s.expect(0, "unregister_callable", api.unregister_callable, copy);
  s.expect(TROUPE_DEVICE_UNKNOWN_CALLABLE, "unregistering twice", api.unregister_callable, copy);
  s.expect(TROUPE_DEVICE_UNKNOWN_CALLABLE, "unregistering id 0", api.unregister_callable, std::uint64_t{0});
  const auto again = s.kernel("conformance_copy");
  require(again != copy && again != fail, "a callable id was used again");
  callable.name = "conformance_no_such_kernel";
  s.expect(TROUPE_DEVICE_UNKNOWN_CALLABLE, "a name that the module lacks", api.register_callable, &callable,
           &id);
  constexpr std::int32_t invalid = TROUPE_DEVICE_INVALID_ARGUMENT;
  callable.name = nullptr;
  s.expect(invalid, "a callable without a name", api.register_callable, &callable, &id);
  callable.name = "";
  s.expect(invalid, "a callable with an empty name", api.register_callable, &callable, &id);
  callable.name = "conformance_nothing";
  callable.module = nullptr;
  s.expect(invalid, "a callable without module and bytes", api.register_callable, &callable, &id);
  callable.byte_count = 16;
  s.expect(invalid, "a callable of null bytes", api.register_callable, &callable, &id);
  const char bytes[] = "these bytes are no kernel at all, in no format that anybody loads";
  callable.bytes = bytes;
  callable.byte_count = sizeof(bytes);
  s.expect(TROUPE_DEVICE_BAD_CALLABLE, "bytes that are no kernel", api.register_callable, &callable, &id);
  callable.module = &probe.module();
  s.expect(invalid, "a callable with both module and bytes", api.register_callable, &callable, &id);
}

}  // namespace

std::vector<Rule> memory_rules() {
  return {
      {"allocate", "allocations are aligned, distinct, and keep what is copied into them", allocate},
      {"sizes", "zero and absurd sizes are refused and do no harm", sizes},
      {"memory-limit", "memory_bytes limits what can be allocated; freed memory can be had again",
       memory_limit},
      {"frees", "double, interior and foreign frees are told apart", frees},
      {"copies", "copies stay inside allocations of the context, whatever the size", copies},
      {"accounting", "device_status counts allocations and bytes", accounting},
  };
}

std::vector<Rule> callable_rules() {
  return {{"registering", "callables are registered by name, once, and bad ones are refused", registering}};
}

}  // namespace troupe::conformance
