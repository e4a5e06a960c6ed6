#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "platform/conformance/rules.hpp"

// Kernels from bytes, and runs that are watched. The object for the first is `kernel_entry` of three tensors
// of floats and one scalar: c[i] = a[i] + b[i] + s, each block its share of the elements.
namespace troupe::conformance {

namespace {

using runtime::Tensor;

void foreign_bytes(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  if (probe.foreign().empty()) throw Skipped{"no object was given: --foreign FILE"};
  // The bytes are copied: what becomes of them after the call does not matter.
  auto bytes = probe.foreign();
  const std::uint8_t signature[] = {TROUPE_TAG_IN, TROUPE_TAG_IN, TROUPE_TAG_OUT, TROUPE_SIGNATURE_SCALAR};
  troupe_callable callable{};
  callable.name = "conformance_foreign";
  callable.bytes = bytes.data();
  callable.byte_count = bytes.size();
  callable.core_kind = TROUPE_CORE_AIV;
  callable.signature = signature;
  callable.signature_count = 4;
  std::uint64_t id = 0;
  s.expect(0, "registering an object", probe.api().register_callable, &callable, &id);
  std::fill(bytes.begin(), bytes.end(), '\0');
  std::vector<float> a(64, 1), b(64, 2), c(64, 0);
  const auto ta = Tensor::host(a.data(), {64}), tb = Tensor::host(b.data(), {64}),
             tc = Tensor::host(c.data(), {64});
  const auto args = platform::RunArgs::of(in(ta), in(tb), out(tc), runtime::scalar(0.5f));
  for (const std::uint32_t blocks : {1u, 4u}) {
    std::fill(c.begin(), c.end(), 0.0f);
    auto run = args.run(0, id);
    run.blocks = blocks;
    require(s.run(run) == 0, "a kernel from bytes failed: " + s.last_text());
    require(c == std::vector<float>(64, 3.5f), "a kernel from bytes gave a wrong result");
  }
  const auto lost = platform::RunArgs::of(in(ta), in(tb), in(tc), runtime::scalar(0.5f));
  require(s.run(lost.run(0, id)) == TROUPE_DEVICE_BAD_TASK_ARGUMENTS,
          "a kernel that writes its third argument was run with it as an input");
  const auto fewer = platform::RunArgs::of(in(ta), in(tb), out(tc));
  require(s.run(fewer.run(0, id)) == TROUPE_DEVICE_BAD_TASK_ARGUMENTS,
          "a kernel was run with fewer arguments than its signature has");
  s.expect(0, "unregister_callable", probe.api().unregister_callable, id);
  require(s.run(args.run(0, id)) == TROUPE_DEVICE_UNKNOWN_CALLABLE, "an unregistered kernel was run");
}

/// What the sinks of a host heard.
struct Heard {
  std::mutex mutex;
  std::string wrong;
  std::size_t events = 0, records = 0;

  void complain(const std::string& what) {
    if (wrong.empty()) wrong = what;
  }
  static void trace(void* data, const troupe_trace_event* events, std::size_t count) {
    auto& self = *static_cast<Heard*>(data);
    const std::lock_guard lock(self.mutex);
    self.events += count;
    for (std::size_t i = 0; i < count; ++i) {
      const auto& event = events[i];
      if (event.name == nullptr || event.name[0] == '\0') self.complain("a trace event without a name");
      if (event.end_ns < event.begin_ns) self.complain("a trace event that ends before it begins");
      if (event.producer_count != 0 && event.producers == nullptr)
        self.complain("a trace event of null producers");
    }
  }
  static void dump(void* data, const troupe_dump_record* record) {
    auto& self = *static_cast<Heard*>(data);
    const std::lock_guard lock(self.mutex);
    ++self.records;
    if (record->name == nullptr || record->name[0] == '\0')
      self.complain("a tensor dump without a kernel's name");
    if (record->bytes != 0 && record->data == nullptr) self.complain("a tensor dump of null bytes");
  }
};

// Being watched, or asking for it in vain, changes nothing about a run.
void sinks(Probe& probe) {
  const auto& api = probe.api();
  Heard heard;
  for (const bool watched : {false, true}) {
    const std::string how = watched ? "a run that is watched" : "a run that nobody watches";
    troupe_host table{};
    table.abi_version = TROUPE_DEVICE_ABI_VERSION;
    table.size = sizeof(table);
    table.data = &heard;
    table.platform_data = api.platform_data;
    if (watched) {
      table.trace = Heard::trace;
      table.dump = Heard::dump;
    }
    auto* const context = api.create_device_context(&table);
    // Also when the rule fails on the way.
    const auto end = [&api](troupe_device_context* handle) { api.destroy_device_context(handle); };
    std::unique_ptr<troupe_device_context, decltype(end)> held(context, end);
    require(context != nullptr, "create_device_context answered null");
    require(api.set_device(context, 0) == 0, "set_device fails");
    troupe_callable callable{};
    callable.name = "conformance_copy";
    callable.module = &probe.module();
    std::uint64_t id = 0;
    require(api.register_callable(context, &callable, &id) == 0, "register_callable fails");
    std::vector<float> x(8, 2), y(8, 0);
    const auto args =
        platform::RunArgs::of(in(Tensor::host(x.data(), {8})), out(Tensor::host(y.data(), {8})));
    auto run = args.run(0, id);
    run.flags = TROUPE_RUN_PROFILE | TROUPE_RUN_DUMP;
    require(api.run_runtime(context, &run, nullptr) == 0, how + " fails");
    require(y == x, how + " gave a wrong result");
    require(api.destroy_device_context(held.release()) == 0, "destroy_device_context fails");
  }
  const std::lock_guard lock(heard.mutex);
  require(heard.wrong.empty(), "the host's sinks got " + heard.wrong);
}

}  // namespace

std::vector<Rule> foreign_rules() {
  return {{"foreign-bytes", "a kernel from bytes runs as it was registered", foreign_bytes,
           TROUPE_FEATURE_FOREIGN_BYTES},
          {"sinks", "runs that ask for traces and dumps work with and without sinks", sinks}};
}

}  // namespace troupe::conformance
