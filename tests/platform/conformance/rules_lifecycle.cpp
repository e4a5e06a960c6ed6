#include <array>
#include <cstring>
#include <limits>

#include "platform/conformance/rules.hpp"

// Contexts, states, options, errors, properties.
namespace troupe::conformance {

namespace {

void null_context(Probe& probe) {
  const auto& api = probe.api();
  const auto refused = [](std::int32_t code, const char* what) {
    require(code == TROUPE_DEVICE_INVALID_ARGUMENT,
            std::string{what} + " of a null context answered " + name_of_code(code));
  };
  std::uint64_t word = 0;
  std::size_t count = 0;
  std::array<char, 8> bytes{};
  const troupe_callable callable{};
  troupe_run run{};
  run.correlation = 1;
  troupe_device_properties properties{};
  properties.size = sizeof(properties);
  troupe_device_status status{};
  status.size = sizeof(status);
  std::int32_t code = 0;
  require(api.destroy_device_context(nullptr) == 0, "destroy_device_context(null) is not fine");
  refused(api.set_device_option(nullptr, "grace_ms", "1"), "set_device_option");
  refused(api.set_device(nullptr, 0), "set_device");
  refused(api.reset_device(nullptr), "reset_device");
  refused(api.finalize_device(nullptr), "finalize_device");
  refused(api.device_malloc_ctx(nullptr, 64, &word), "device_malloc_ctx");
  refused(api.device_free_ctx(nullptr, 64), "device_free_ctx");
  refused(api.copy_to_device_ctx(nullptr, 64, bytes.data(), 8), "copy_to_device_ctx");
  refused(api.copy_from_device_ctx(nullptr, bytes.data(), 64, 8), "copy_from_device_ctx");
  refused(api.register_callable(nullptr, &callable, &word), "register_callable");
  refused(api.unregister_callable(nullptr, 1), "unregister_callable");
  refused(api.launch_runs(nullptr, &run, 1, 0), "launch_runs");
  refused(api.run_runtime(nullptr, &run, nullptr), "run_runtime");
  refused(api.abort_runs(nullptr, TROUPE_ALL_RUNS), "abort_runs");
  refused(api.device_properties(nullptr, &properties), "device_properties");
  refused(api.device_status(nullptr, &status, nullptr, 0, &count), "device_status");
  refused(api.device_last_error(nullptr, &code, bytes.data(), bytes.size()), "device_last_error");
}

void null_arguments(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto& api = probe.api();
  constexpr std::int32_t invalid = TROUPE_DEVICE_INVALID_ARGUMENT;
  const auto address = s.malloc(64);
  std::uint64_t id = 0;
  troupe_device_status status{};
  status.size = sizeof(status);
  std::size_t count = 0;
  s.expect(invalid, "device_malloc_ctx without a place for the address", api.device_malloc_ctx,
           std::uint64_t{8}, nullptr);
  s.expect(invalid, "copy_to_device_ctx from null", api.copy_to_device_ctx, address, nullptr,
           std::uint64_t{8});
  s.expect(invalid, "copy_from_device_ctx to null", api.copy_from_device_ctx, nullptr, address,
           std::uint64_t{8});
  s.expect(invalid, "register_callable(null)", api.register_callable, nullptr, &id);
  s.expect(invalid, "launch_runs of null runs", api.launch_runs, nullptr, std::size_t{1}, std::uint64_t{0});
  s.expect(invalid, "run_runtime(null)", api.run_runtime, nullptr, nullptr);
  s.expect(invalid, "device_properties(null)", api.device_properties, nullptr);
  s.expect(invalid, "device_status(null)", api.device_status, nullptr, nullptr, std::size_t{0}, &count);
  s.expect(invalid, "device_status without a count", api.device_status, &status, nullptr, std::size_t{0},
           nullptr);
  s.expect(invalid, "device_status of null cores", api.device_status, &status, nullptr, std::size_t{4},
           &count);
}

void null_host(Probe& probe) {
  // A platform may need its own data to be found through the table; then the table is all it gets.
  troupe_host bare{};
  bare.abi_version = TROUPE_DEVICE_ABI_VERSION;
  bare.size = sizeof(bare);
  bare.platform_data = probe.api().platform_data;
  const auto& api = probe.api();
  auto* const context = api.create_device_context(bare.platform_data != nullptr ? &bare : nullptr);
  require(context != nullptr, "create_device_context without host services answered null");
  require(api.set_device(context, 0) == 0, "set_device fails without host services");
  std::uint64_t address = 0;
  require(api.device_malloc_ctx(context, 64, &address) == 0, "device_malloc_ctx fails without host services");
  troupe_callable callable{};
  callable.name = "conformance_copy";
  callable.module = &probe.module();
  std::uint64_t id = 0;
  require(api.register_callable(context, &callable, &id) == 0,
          "register_callable fails without host services");
  const std::vector<float> x(8, 2.0f);
  std::vector<float> y(8, 0.0f);
  const auto args = platform::RunArgs::of(in(runtime::Tensor::host(const_cast<float*>(x.data()), {8})),
                                          out(runtime::Tensor::host(y.data(), {8})));
  const auto run = args.run(0, id);
  require(api.run_runtime(context, &run, nullptr) == 0, "run_runtime fails without host services");
  require(y == x, "run_runtime without host services gave a wrong result");
  require(api.destroy_device_context(context) == 0, "destroy_device_context fails without host services");
}

void device_numbers(Probe& probe) {
  const auto subject = probe.create();
  const auto count = probe.properties(*subject).device_count;
  require(count > 0, "device_properties says that there is no device");
  const auto& api = probe.api();
  constexpr std::int32_t none = TROUPE_DEVICE_NO_SUCH_DEVICE;
  subject->expect(none, "set_device(-1)", api.set_device, -1);
  subject->expect(none, "set_device(INT32_MIN)", api.set_device, std::numeric_limits<std::int32_t>::min());
  subject->expect(none, "set_device(INT32_MAX)", api.set_device, std::numeric_limits<std::int32_t>::max());
  subject->set_device(static_cast<std::int32_t>(count - 1));
  require(probe.properties(*subject).device_id == static_cast<std::int32_t>(count - 1),
          "device_properties has another device_id than set_device");
}

/// Tries everything that needs a device; all must answer `code`.
void nothing_works(Subject& s, std::int32_t code, const std::string& when) {
  const auto& api = s.api();
  std::uint64_t word = 0;
  std::array<char, 8> bytes{};
  troupe_callable callable{};
  callable.name = "conformance_copy";
  callable.module = &s.module();
  troupe_run run{};
  run.correlation = 1;
  s.expect(code, "device_malloc_ctx " + when, api.device_malloc_ctx, std::uint64_t{64}, &word);
  s.expect(code, "device_free_ctx " + when, api.device_free_ctx, std::uint64_t{64});
  s.expect(code, "copy_to_device_ctx " + when, api.copy_to_device_ctx, std::uint64_t{64}, bytes.data(),
           std::uint64_t{8});
  s.expect(code, "copy_from_device_ctx " + when, api.copy_from_device_ctx, bytes.data(), std::uint64_t{64},
           std::uint64_t{8});
  s.expect(code, "register_callable " + when, api.register_callable, &callable, &word);
  s.expect(code, "unregister_callable " + when, api.unregister_callable, std::uint64_t{1});
  s.expect(code, "launch_runs " + when, api.launch_runs, &run, std::size_t{1}, std::uint64_t{0});
  s.expect(code, "run_runtime " + when, api.run_runtime, &run, nullptr);
  s.expect(code, "abort_runs " + when, api.abort_runs, TROUPE_ALL_RUNS);
}

void needs_device(Probe& probe) {
  const auto subject = probe.create();
  nothing_works(*subject, TROUPE_DEVICE_INVALID_STATE, "without a device");
}

void set_twice(Probe& probe) {
  const auto subject = probe.ready();
  subject->expect(TROUPE_DEVICE_INVALID_STATE, "a second set_device", probe.api().set_device, 0);
}

void reset(Probe& probe) {
  const auto subject = probe.create();
  auto& s = *subject;
  const auto& api = probe.api();
  s.expect(0, "reset_device without a device", api.reset_device);
  s.set_device();
  const auto address = s.malloc(64);
  const auto id = s.kernel("conformance_copy");
  s.expect(0, "reset_device", api.reset_device);
  require(probe.properties(s).device_id == -1, "after reset_device the properties still name a device");
  nothing_works(s, TROUPE_DEVICE_INVALID_STATE, "after reset_device");
  s.set_device();
  s.expect(TROUPE_DEVICE_UNKNOWN_CALLABLE, "unregistering a callable from before the reset",
           api.unregister_callable, id);
  std::array<char, 8> bytes{};
  s.expect(TROUPE_DEVICE_BAD_ADDRESS, "a copy to memory from before the reset", api.copy_to_device_ctx,
           address, bytes.data(), std::uint64_t{8});
}

void finalized(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto& api = probe.api();
  (void)s.malloc(64);
  s.expect(0, "finalize_device", api.finalize_device);
  s.expect(0, "a second finalize_device", api.finalize_device);
  nothing_works(s, TROUPE_DEVICE_FINALIZED, "after finalize_device");
  s.expect(TROUPE_DEVICE_FINALIZED, "set_device after finalize_device", api.set_device, 0);
  s.expect(TROUPE_DEVICE_FINALIZED, "set_device_option after finalize_device", api.set_device_option,
           "grace_ms", "1");
  troupe_device_status status{};
  status.size = sizeof(status);
  std::size_t count = 0;
  s.expect(0, "device_status after finalize_device", api.device_status, &status, nullptr, std::size_t{0},
           &count);
  require(status.state == TROUPE_STATE_FINALIZED, "after finalize_device the status is not 'finalized'");
  require(status.allocations == 0 && status.memory_used == 0, "finalize_device keeps memory");
  require(s.destroy() == 0, "destroying a finalized context failed");
}

void options(Probe& probe) {
  const auto subject = probe.create();
  auto& s = *subject;
  const auto& api = probe.api();
  s.expect(0, "set_device_option(grace_ms)", api.set_device_option, "grace_ms", "250");
  s.expect(0, "set_device_option(memory_bytes)", api.set_device_option, "memory_bytes", "1048576");
  constexpr std::int32_t unknown = TROUPE_DEVICE_UNKNOWN_OPTION;
  s.expect(unknown, "an option that nobody has", api.set_device_option, "no_such_option", "1");
  s.expect(unknown, "a grace that is no number", api.set_device_option, "grace_ms", "soon");
  s.expect(unknown, "a negative memory limit", api.set_device_option, "memory_bytes", "-1");
  s.expect(unknown, "an empty value", api.set_device_option, "memory_bytes", "");
  s.expect(TROUPE_DEVICE_INVALID_ARGUMENT, "a null option", api.set_device_option, nullptr, "1");
  s.expect(TROUPE_DEVICE_INVALID_ARGUMENT, "a null value", api.set_device_option, "grace_ms", nullptr);
  s.set_device();
  s.expect(TROUPE_DEVICE_INVALID_STATE, "an option after set_device", api.set_device_option, "grace_ms", "1");
}

void last_error(Probe& probe) {
  const auto subject = probe.create();
  auto& s = *subject;
  const auto& api = probe.api();
  std::int32_t code = -7;
  std::array<char, 256> text{};
  text.fill('x');
  s.expect(0, "device_last_error", api.device_last_error, &code, text.data(), text.size());
  require(code == 0 && text[0] == '\0', "a fresh context has a last error");
  (void)s.call(api.set_device, -1);
  s.expect(0, "device_last_error", api.device_last_error, &code, text.data(), text.size());
  require(code == TROUPE_DEVICE_NO_SUCH_DEVICE, "device_last_error has another code than the call answered");
  const auto length = std::strlen(text.data());
  require(length > 4, "the last error says nothing");
  std::array<char, 4> small{'x', 'x', 'x', 'x'};
  s.expect(0, "device_last_error into 4 bytes", api.device_last_error, &code, small.data(), small.size());
  require(small[3] == '\0' && std::strncmp(small.data(), text.data(), 3) == 0,
          "a truncated text is not null-terminated");
  s.expect(0, "device_last_error without a text", api.device_last_error, &code, nullptr, std::size_t{0});
}

void properties(Probe& probe) {
  const auto subject = probe.ready();
  const auto p = probe.properties(*subject);
  require(p.architecture[0] != '\0', "no architecture");
  require(std::memchr(p.architecture, 0, sizeof(p.architecture)) != nullptr,
          "the architecture is not null-terminated");
  require(p.clusters > 0 && p.aic_per_cluster + p.aiv_per_cluster > 0, "no cores");
  require(p.memory_bytes > 0, "no memory");
  require(p.queue_depth >= 64, "a context takes fewer than 64 runs");
  require(p.max_tensors >= 32 && p.max_scalars >= 16, "fewer arguments than a kernel carries");
  troupe_device_properties wrong{};
  wrong.size = 3;
  subject->expect(TROUPE_DEVICE_INVALID_ARGUMENT, "device_properties of another size",
                  probe.api().device_properties, &wrong);
}

void many_contexts(Probe& probe) {
  std::vector<Held> subjects;
  std::vector<std::uint64_t> addresses;
  for (int i = 0; i < 10; ++i) subjects.push_back(probe.ready());
  for (auto& s : subjects) addresses.push_back(s->malloc(64));
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    const auto word = static_cast<std::int64_t>(i);
    subjects[i]->expect(0, "copy_to_device_ctx", probe.api().copy_to_device_ctx, addresses[i],
                        static_cast<const void*>(&word), std::uint64_t{8});
  }
  subjects[3]->expect(0, "reset_device", probe.api().reset_device);
  require(subjects[4]->destroy() == 0, "destroying one of ten contexts failed");
  for (std::size_t i = 5; i < subjects.size(); ++i) {
    std::int64_t word = -1;
    subjects[i]->expect(0, "copy_from_device_ctx", probe.api().copy_from_device_ctx,
                        static_cast<void*>(&word), addresses[i], std::uint64_t{8});
    require(word == static_cast<std::int64_t>(i), "the memory of one context changed by the end of another");
  }
  std::int64_t word = 0;
  subjects[0]->expect(TROUPE_DEVICE_BAD_ADDRESS, "a copy from another context's memory",
                      probe.api().copy_from_device_ctx, static_cast<void*>(&word), addresses[1],
                      std::uint64_t{8});
  subjects[0]->expect(TROUPE_DEVICE_BAD_ADDRESS, "freeing another context's memory",
                      probe.api().device_free_ctx, addresses[1]);
}

}  // namespace

std::vector<Rule> lifecycle_rules() {
  return {
      {"null-context", "every function answers INVALID_ARGUMENT to a null context, destroy accepts it",
       null_context},
      {"null-arguments", "null pointers are answered with INVALID_ARGUMENT", null_arguments},
      {"null-host", "a context works without any host service", null_host},
      {"device-numbers", "devices are 0 to device_count-1, others are NO_SUCH_DEVICE", device_numbers},
      {"needs-device", "memory, callables and runs need a device: INVALID_STATE before", needs_device},
      {"set-device-twice", "a second set_device without reset is INVALID_STATE", set_twice},
      {"reset", "reset_device goes back to 'created' and frees all", reset},
      {"finalized", "after finalize_device every call answers FINALIZED, and destroy works", finalized},
      {"options", "grace_ms and memory_bytes are known, everything else is refused", options},
      {"last-error", "device_last_error has code and sentence of the latest failure", last_error},
      {"properties", "device_properties describes a usable device", properties},
      {"many-contexts", "contexts of one library share nothing", many_contexts},
  };
}

}  // namespace troupe::conformance
