#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "troupe/platform/scripted_chip.hpp"

/// Platforms that break a rule: the scripted chip with something between it and the host, or with one
/// function replaced. For the tests of the conformance suite.
namespace troupe::test {

using platform::DeviceApi;
using Handle = troupe_device_context*;
using Mutate = void (*)(DeviceApi&);

inline DeviceApi good() { return platform::ScriptedChip{}.api(); }

/// Answers success where `code` would have been right.
inline std::int32_t hide(std::int32_t got, std::int32_t code) { return got == code ? 0 : got; }

/// Stands between the platform and the host's completion callback.
struct Meddler {
  troupe_host real{};
  bool twice = false, no_aborted = false, no_failures = false, nothing = false;
  bool silent = false, backwards = false;

  static Meddler& of(void* data) { return *static_cast<Meddler*>(data); }
  static void complete(void* data, const troupe_completion* completions, std::size_t count) {
    auto& self = of(data);
    std::vector<troupe_completion> told{completions, completions + count};
    if (self.no_aborted) std::erase_if(told, [](auto& c) { return c.code == TROUPE_DEVICE_ABORTED; });
    for (auto& c : told) {
      if (self.no_failures && c.code == TROUPE_DEVICE_KERNEL_FAILED) c.code = 0;
      if (self.silent) c.message = nullptr;
      if (self.backwards) c.started_ns = c.finished_ns + 1;
    }
    self.real.complete(self.real.data, told.data(), told.size());
    if (self.twice) self.real.complete(self.real.data, told.data(), told.size());
  }
};

/// The meddlers of all mutants, by context; they live as long as the test.
struct Meddlers {
  std::mutex mutex;
  std::vector<std::unique_ptr<Meddler>> all;
  std::map<Handle, Meddler*> by_context;

  Meddler* make() {
    std::lock_guard lock{mutex};
    all.push_back(std::make_unique<Meddler>());
    return all.back().get();
  }
  void keep(Handle context, Meddler* meddler) {
    std::lock_guard lock{mutex};
    by_context[context] = meddler;
  }
  Meddler* of(Handle context) {
    std::lock_guard lock{mutex};
    return by_context[context];
  }
};
inline Meddlers& meddlers() {
  static Meddlers the;
  return the;
}

/// Contexts whose completions are meddled with.
template <bool Meddler::*What>
Handle create_meddled(const troupe_host* host) {
  auto* const meddler = meddlers().make();
  meddler->real = *host;
  meddler->*What = true;
  troupe_host table = *host;
  table.data = meddler;
  table.log = nullptr;
  table.now = [](void* data) { return Meddler::of(data).real.now(Meddler::of(data).real.data); };
  table.post = [](void* data, std::uint64_t delay, void (*task)(void*, std::int32_t), void* arg) {
    return Meddler::of(data).real.post(Meddler::of(data).real.data, delay, task, arg);
  };
  if (host->complete != nullptr) table.complete = Meddler::complete;
  table.running = [](void* data, troupe_running* what) {
    return Meddler::of(data).real.running(Meddler::of(data).real.data, what);
  };
  const auto context = good().create_device_context(&table);
  meddlers().keep(context, meddler);
  return context;
}

/// Tells the host of a run that never was, on this thread.
inline void tell_of_nothing(const Meddler& meddler) {
  troupe_completion end{};
  end.correlation = 999'999;
  meddler.real.complete(meddler.real.data, &end, 1);
}

}  // namespace troupe::test
