// What a queued device costs through its platform, beside the vendor's own interface in the same minute:
//   bench_device [opencl|cuda] [rounds] [launches]      launches: no copies
// Launches: µs for each of many empty kernels, a chain and independent ones; and the processor time of all
// threads, which also means something on a busy machine. Copies: GB/s. Medians of the rounds, in which both
// take turns; the ratio is that of the medians.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "raw_device.hpp"
#include "troupe/platform/device_library.hpp"
#include "troupe/platform/run_args.hpp"
#include "troupe/runtime/module.hpp"

namespace {

using namespace troupe;
using Clock = std::chrono::steady_clock;

constexpr std::size_t largest_copy = std::size_t{256} << 20;

double processor_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

struct Cost {
  double wall, processor;
};
Cost cost_of(const std::function<void()>& work) {
  const auto begun = Clock::now();
  const double used = processor_seconds();
  work();
  return {std::chrono::duration<double>(Clock::now() - begun).count(), processor_seconds() - used};
}

struct Medians {
  double ours, raw, ours_processor, raw_processor;
};
double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}
Medians compare(int rounds, const std::function<void()>& ours, const std::function<void()>& raw) {
  std::vector<double> wall[2], processor[2];
  ours();
  raw();
  for (int i = 0; i < rounds; ++i) {
    for (const auto& [side, work] : {std::pair{0, &ours}, {1, &raw}}) {
      const auto cost = cost_of(*work);
      wall[side].push_back(cost.wall);
      processor[side].push_back(cost.processor);
    }
  }
  return {median(wall[0]), median(wall[1]), median(processor[0]), median(processor[1])};
}

/// A context of the platform, which counts ends.
class Chip {
 public:
  explicit Chip(const platform::DeviceApi& api) : api_(api) {
    table_.abi_version = TROUPE_DEVICE_ABI_VERSION;
    table_.size = sizeof table_;
    table_.data = this;
    table_.complete = [](void* self, const troupe_completion* ends, std::size_t count) {
      auto& chip = *static_cast<Chip*>(self);
      const std::lock_guard lock(chip.mutex_);
      for (std::size_t i = 0; i < count; ++i) chip.failed_ = chip.failed_ || ends[i].code != 0;
      chip.ended_ += count;
      chip.changed_.notify_all();
    };
    handle_ = api_.create_device_context(&table_);
    must(handle_ == nullptr ? -1 : api_.set_device(handle_, 0), "set_device");
    troupe_callable callable{};
    callable.name = "nothing";
    callable.module = runtime::this_module().raw();
    must(api_.register_callable(handle_, &callable, &kernel_), "register_callable");
    must(api_.device_malloc_ctx(handle_, largest_copy, &memory_), "device_malloc");
  }
  ~Chip() { (void)api_.destroy_device_context(handle_); }
  Chip(const Chip&) = delete;
  Chip& operator=(const Chip&) = delete;

  void launch(int count, bool chained) {
    constexpr int batch = 64;
    std::vector<troupe_run> runs;
    std::vector<std::uint64_t> before(batch);
    const std::uint64_t goal = ended_goal_ += static_cast<std::uint64_t>(count);
    for (int i = 0; i < count; ++i) {
      troupe_run run{};
      run.correlation = ++last_;
      run.callable = kernel_;
      const auto at = runs.size();
      before[at] = last_ - 1;
      if (chained && i > 0) {
        run.depends_on = &before[at];
        run.depends_count = 1;
      }
      runs.push_back(run);
      if (runs.size() == batch || i + 1 == count) {
        must(api_.launch_runs(handle_, runs.data(), runs.size(), 0), "launch_runs");
        runs.clear();
      }
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_ == goal; });
    if (failed_) must(-1, "a run");
  }
  void to_device(const void* host, std::size_t bytes) {
    must(api_.copy_to_device_ctx(handle_, memory_, host, bytes), "copy_to_device");
  }
  void from_device(void* host, std::size_t bytes) {
    must(api_.copy_from_device_ctx(handle_, host, memory_, bytes), "copy_from_device");
  }
  std::string name() const {
    troupe_device_properties properties{};
    properties.size = sizeof properties;
    (void)api_.device_properties(handle_, &properties);
    return properties.device_name != nullptr ? properties.device_name : properties.architecture;
  }

 private:
  void must(std::int32_t code, const char* what) const {
    if (code == 0) return;
    char text[1024] = "";
    if (handle_ != nullptr) (void)api_.device_last_error(handle_, nullptr, text, sizeof text);
    std::fprintf(stderr, "%s failed: %s\n", what, text);
    std::_Exit(1);
  }

  const platform::DeviceApi& api_;
  troupe_host table_{};
  troupe_device_context* handle_ = nullptr;
  std::uint64_t kernel_ = 0, memory_ = 0, last_ = 0, ended_goal_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t ended_ = 0;
  bool failed_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  const std::string platform = argc > 1 ? argv[1] : "opencl";
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 9;
  const auto raw =
      platform == "cuda" ? bench::open_raw_cuda(largest_copy) : bench::open_raw_opencl(largest_copy);
  if (raw == nullptr) {
    std::printf("no %s device here\n", platform.c_str());
    return 0;
  }
  const auto library = platform::DeviceLibrary::open(platform);
  if (!library) {
    std::fprintf(stderr, "%s\n", render(library.error()).c_str());
    return 1;
  }
  Chip chip(library->api());
  std::printf("%s\n%-34s %10s %10s %7s\n", chip.name().c_str(), "", "troupe", raw->name.c_str(), "ratio");
  const auto launches = [&](const char* what, int count, bool chained, const auto& theirs) {
    const auto cost = compare(
        rounds, [&] { chip.launch(count, chained); }, [&] { theirs(count); });
    std::printf("%-34s %7.2f us %7.2f us %7.2f   processor %5.2f us %5.2f us %5.2f\n", what,
                cost.ours / count * 1e6, cost.raw / count * 1e6, cost.ours / cost.raw,
                cost.ours_processor / count * 1e6, cost.raw_processor / count * 1e6,
                cost.ours_processor / cost.raw_processor);
  };
  launches("chain of 2,000 empty kernels", 2'000, true, raw->chain);
  launches("chain of 10,000 empty kernels", 10'000, true, raw->chain);
  launches("2,000 independent empty kernels", 2'000, false, raw->independent);
  if (argc > 3) return 0;
  std::vector<char> host(largest_copy, 1);
  const auto copies = [&](const char* way, std::size_t bytes, const auto& ours, const auto& theirs) {
    const auto cost = compare(rounds, ours, theirs);
    const double mine = cost.ours, other = cost.raw;
    std::printf("%-10s %20zu bytes %5.2f GB/s %5.2f GB/s %7.2f\n", way, bytes,
                static_cast<double>(bytes) / mine / 1e9, static_cast<double>(bytes) / other / 1e9,
                other / mine);
  };
  for (const std::size_t bytes :
       {std::size_t{4} << 10, std::size_t{1} << 20, std::size_t{64} << 20, largest_copy}) {
    copies(
        "to", bytes, [&] { chip.to_device(host.data(), bytes); },
        [&] { raw->to_device(host.data(), bytes); });
    copies(
        "from", bytes, [&] { chip.from_device(host.data(), bytes); },
        [&] { raw->from_device(host.data(), bytes); });
    if (raw->pinned_to_device == nullptr) continue;
    const auto locked = compare(
        rounds, [&] { chip.to_device(host.data(), bytes); }, [&] { raw->pinned_to_device(bytes); });
    std::printf("  page-locked memory, raw: %.2f GB/s\n", static_cast<double>(bytes) / locked.raw / 1e9);
  }
  return 0;
}
