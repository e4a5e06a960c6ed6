#include <atomic>
#include <thread>

#include "platform/conformance/rules.hpp"

// Abort, reset, destroy, kernels that do not return, many threads.
namespace troupe::conformance {

namespace {

using platform::RunArgs;
using runtime::Tensor;

void aborts(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto& api = probe.api();
  const Waiting waiting{s};
  s.expect(0, "abort_runs of nothing", api.abort_runs, TROUPE_ALL_RUNS);
  s.expect(TROUPE_DEVICE_INVALID_ARGUMENT, "aborting a run that was never launched", api.abort_runs,
           std::uint64_t{77});
  s.launch({waiting.run(1), waiting.run(2), waiting.run(3)});
  s.expect(0, "aborting one run", api.abort_runs, std::uint64_t{1});
  const auto first = s.wait_for(1);
  require(first[0].correlation == 1 && first[0].code == TROUPE_DEVICE_ABORTED,
          "the aborted run 1 did not end first with ABORTED");
  s.expect(0, "aborting a run that has ended", api.abort_runs, std::uint64_t{1});
  s.expect(0, "aborting all runs", api.abort_runs, TROUPE_ALL_RUNS);
  for (const auto& end : s.wait_for(3)) {
    require(end.code == TROUPE_DEVICE_ABORTED, "an aborted run ended with " + name_of_code(end.code));
  }
  const auto copy = s.kernel("conformance_copy");
  std::vector<float> x(8, 1.0f), y(8);
  const auto args = RunArgs::of(in(Tensor::host(x.data(), {8})), out(Tensor::host(y.data(), {8})));
  s.answered(0, s.run(args.run(0, copy)), "a run after abort");
}

void status_of_waits(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const Waiting waiting{s};
  s.launch({waiting.run(42)});
  const auto busy = s.wait_busy(1);
  require(std::string{busy[0].name} == "conformance_until_aborted",
          std::string{"the status shows kernel '"} + busy[0].name + "'");
  require(busy[0].correlation == 42, "the status shows another correlation");
  require(busy[0].since_ns <= probe.host()->now(), "the status shows a kernel that began in the future");
  s.expect(TROUPE_DEVICE_BUSY, "freeing memory that a run uses", probe.api().device_free_ctx, waiting.flag);
  s.expect(0, "abort_runs", probe.api().abort_runs, TROUPE_ALL_RUNS);
  s.wait_for(1);
  s.wait_busy(0);
  s.expect(0, "freeing memory after its run", probe.api().device_free_ctx, waiting.flag);
}

void unregister_in_use(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const Waiting waiting{s};
  const auto copy = s.kernel("conformance_copy");
  std::vector<float> x(8, 1.0f), y(8);
  const auto args = RunArgs::of(in(Tensor::host(x.data(), {8})), out(Tensor::host(y.data(), {8})));
  s.launch({waiting.run(1), args.run(2, copy)});
  s.expect(0, "unregistering a callable that runs use", probe.api().unregister_callable, copy);
  s.expect(0, "unregistering a callable that is running", probe.api().unregister_callable, waiting.kernel);
  s.expect(0, "abort_runs", probe.api().abort_runs, std::uint64_t{1});
  for (const auto& end : s.wait_for(2)) {
    require(end.code == (end.correlation == 1 ? TROUPE_DEVICE_ABORTED : 0),
            "run " + std::to_string(end.correlation) + " ended with " + name_of_code(end.code) +
                " after its callable was unregistered");
  }
  s.launch({args.run(3, copy)});
  require(s.wait_for(3).back().code == TROUPE_DEVICE_UNKNOWN_CALLABLE,
          "an unregistered callable can still be launched");
}

// A device may have to wait for its kernels before it does anything else, and its kernel for the host.
void works_beside_runs(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto& api = probe.api();
  const Waiting waiting{s};
  s.launch({waiting.run(1)});
  s.wait_busy(1);
  const auto address = s.malloc(4096);
  // Twice, as the memory may have had the same bytes before.
  for (const int value : {7, 9}) {
    std::vector<std::uint8_t> pattern(4096, static_cast<std::uint8_t>(value)), back(4096);
    s.expect(0, "a copy to the device beside a run", api.copy_to_device_ctx, address,
             static_cast<const void*>(pattern.data()), std::uint64_t{4096});
    s.expect(0, "a copy from the device beside a run", api.copy_from_device_ctx,
             static_cast<void*>(back.data()), address, std::uint64_t{4096});
    require(back == pattern, "a copy beside a run lost bytes");
  }
  const auto copy = s.kernel("conformance_copy");
  s.expect(0, "unregistering beside a run", api.unregister_callable, copy);
  s.expect(0, "a free beside a run", api.device_free_ctx, address);
  require(s.ends().empty(), "the run ended, which nobody asked for");
  s.expect(0, "abort_runs", api.abort_runs, TROUPE_ALL_RUNS);
  require(s.wait_for(1)[0].code == TROUPE_DEVICE_ABORTED, "the run did not end with ABORTED");
}

void ends_in(Probe& probe, const char* what, const std::function<std::int32_t(Subject&)>& ending) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const Waiting waiting{s};
  std::vector<troupe_run> runs;
  for (std::uint64_t i = 1; i <= 20; ++i) runs.push_back(waiting.run(i));
  s.launch(runs);
  require(ending(s) == 0, std::string{what} + " failed while runs were waiting");
  const auto ends = s.ends();
  require(ends.size() == 20, std::string{what} + " returned when " + std::to_string(ends.size()) +
                                 " of 20 runs had been completed");
  for (const auto& end : ends) {
    require(end.code == TROUPE_DEVICE_ABORTED,
            std::string{what} + " ended a run with " + name_of_code(end.code));
  }
}

void reset_completes(Probe& probe) {
  ends_in(probe, "reset_device", [&](Subject& s) { return s.call_ending(probe.api().reset_device); });
}
void finalize_completes(Probe& probe) {
  ends_in(probe, "finalize_device", [&](Subject& s) { return s.call_ending(probe.api().finalize_device); });
}
void destroy_completes(Probe& probe) {
  ends_in(probe, "destroy_device_context", [](Subject& s) { return s.destroy(); });
}

void destroy_while_busy(Probe& probe) {
  // Runs that are on their way to their end, again and again: any completion after destroy is a complaint.
  for (int round = 0; round < 50; ++round) {
    const auto subject = probe.ready();
    auto& s = *subject;
    const auto copy = s.kernel("conformance_copy");
    std::vector<float> x(8, 1.0f), y(8);
    const auto args = RunArgs::of(in(Tensor::host(x.data(), {8})), out(Tensor::host(y.data(), {8})));
    std::vector<troupe_run> runs;
    for (std::uint64_t i = 1; i <= 16; ++i) runs.push_back(args.run(i, copy));
    s.launch(runs);
    require(s.destroy() == 0, "destroying a busy context failed");
    const auto ends = s.ends();
    require(ends.size() == 16,
            "destroy returned when " + std::to_string(ends.size()) + " of 16 runs had been completed");
    for (const auto& end : ends) {
      require(end.code == 0 || end.code == TROUPE_DEVICE_ABORTED,
              "destroy ended a run with " + name_of_code(end.code));
    }
  }
}

void stuck_kernel(Probe& probe) {
  auto subject = probe.create();
  auto& s = *subject;
  const auto& api = probe.api();
  s.expect(0, "set_device_option(grace_ms)", api.set_device_option, "grace_ms", "20");
  s.set_device();
  const auto stuck = s.kernel("conformance_stuck");
  alignas(4) static std::int32_t word;  // a kernel that a failed rule leaves inside goes on reading it
  __atomic_store_n(&word, 0, __ATOMIC_RELEASE);
  const auto args =
      RunArgs::of(runtime::scalar(static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&word))));
  struct Release {
    ~Release() { __atomic_store_n(&word, 1, __ATOMIC_RELEASE); }
  } release;
  s.launch({args.run(1, stuck), args.run(2, stuck)});
  s.wait_busy(1);
  s.expect(0, "abort_runs with a kernel that does not return", api.abort_runs, TROUPE_ALL_RUNS);
  const auto code = s.destroy();
  require(code == TROUPE_DEVICE_BUSY, "destroy with a kernel inside answered " + name_of_code(code));
  require(s.last_text().find("conformance_stuck") != std::string::npos,
          "BUSY does not name the kernel: " + s.last_text());
  const auto ends = s.ends();
  require(ends.size() == 2 && ends[0].code == TROUPE_DEVICE_ABORTED && ends[1].code == TROUPE_DEVICE_ABORTED,
          "destroy answered BUSY without completing the runs as ABORTED");
  std::uint64_t address = 0;
  s.expect(TROUPE_DEVICE_QUARANTINED, "device_malloc_ctx of a quarantined context", api.device_malloc_ctx,
           std::uint64_t{8}, &address);
  const auto busy = s.wait_busy(1);
  require(std::string{busy[0].name} == "conformance_stuck",
          "the status of a quarantined context does not show its kernel");
  const auto other = probe.ready();
  (void)other->malloc(64);  // everybody else goes on
  __atomic_store_n(&word, 1, __ATOMIC_RELEASE);
  std::int32_t last = TROUPE_DEVICE_BUSY;
  for (int i = 0; i < 1000 && last == TROUPE_DEVICE_BUSY; ++i) last = s.destroy();
  require(last == 0, "destroy of a context whose kernel has returned answered " + name_of_code(last));
}

void many_threads(Probe& probe) {
  constexpr int threads = 8;
  std::atomic<int> good = 0;
  std::mutex mutex;
  std::string complaint;
  std::vector<std::thread> pool;
  for (int t = 0; t < threads; ++t) {
    pool.emplace_back([&, t] {
      try {
        for (int round = 0; round < 4; ++round) {
          const auto subject = probe.ready();
          auto& s = *subject;
          const auto copy = s.kernel("conformance_copy");
          std::vector<float> x(256, static_cast<float>(t)), y(256);
          const auto args =
              RunArgs::of(in(Tensor::host(x.data(), {256})), out(Tensor::host(y.data(), {256})));
          s.launch({args.run(1, copy), args.run(2, copy)});
          s.wait_for(2);
          require(y == x, "contexts in several threads mix up their results");
          require(s.destroy() == 0, "destroy failed");
        }
        ++good;
      } catch (const Violation& violation) {
        std::lock_guard lock{mutex};
        complaint = violation.what;
      }
    });
  }
  for (auto& thread : pool) thread.join();
  require(good == threads, complaint);
}

void one_context_many_threads(Probe& probe) {
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto& api = probe.api();
  std::atomic<int> failures = 0;
  std::vector<std::thread> pool;
  for (int t = 0; t < 4; ++t) {
    pool.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        std::uint64_t address = 0;
        const auto word = static_cast<std::int64_t>(t * 1000 + i);
        std::int64_t back = -1;
        troupe_device_status status{};
        status.size = sizeof(status);
        std::size_t count = 0;
        const bool good = api.device_malloc_ctx(s.handle(), 64, &address) == 0 &&
                          api.copy_to_device_ctx(s.handle(), address, &word, 8) == 0 &&
                          api.device_status(s.handle(), &status, nullptr, 0, &count) == 0 &&
                          api.copy_from_device_ctx(s.handle(), &back, address, 8) == 0 && back == word &&
                          api.device_free_ctx(s.handle(), address) == 0;
        if (!good) ++failures;
      }
    });
  }
  for (auto& thread : pool) thread.join();
  require(failures == 0, "calls from several threads on one context disturb each other");
}

}  // namespace

std::vector<Rule> ending_rules() {
  return {
      {"abort", "abort ends waits and what is queued, one run or all", aborts},
      {"status", "device_status shows the kernel that runs, and memory in use cannot be freed",
       status_of_waits},
      {"unregister-in-use", "unregistering leaves unfinished runs alone", unregister_in_use},
      {"beside-runs", "memory, copies and callables do not wait for kernels that run", works_beside_runs},
      {"reset-completes", "reset_device completes every run before it returns", reset_completes},
      {"finalize-completes", "finalize_device completes every run before it returns", finalize_completes},
      {"destroy-completes", "destroy completes every run before it returns", destroy_completes},
      {"destroy-while-busy", "destroy at any moment: every run completed once, nothing afterwards",
       destroy_while_busy},
      {"stuck-kernel", "a kernel that does not return makes destroy answer BUSY and quarantines the context",
       stuck_kernel, TROUPE_FEATURE_HOST_KERNELS},
      {"many-threads", "contexts work at the same time in many threads", many_threads},
      {"one-context-many-threads", "one context may be called from many threads", one_context_many_threads},
  };
}

}  // namespace troupe::conformance
