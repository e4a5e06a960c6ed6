#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "platform/conformance/conformance.hpp"
#include "troupe/platform/host_threads.hpp"
#include "troupe/platform/run_args.hpp"

namespace troupe::conformance {

/// Fails the rule unless `condition` holds.
inline void require(bool condition, const std::string& what) {
  if (!condition) throw Violation{what};
}

std::string name_of_code(std::int32_t code);

/// What was seen of broken completion rules, by any context of a rule.
struct Complaints {
  std::mutex mutex;
  std::string text;
  void add(const std::string& what) {
    std::lock_guard lock{mutex};
    if (text.empty()) text = what;
  }
};

/// One raw context under test and everything that was heard from it. Watches the completion rules all the
/// time: whichever rule runs, a completion in the wrong place is a violation.
class Subject {
 public:
  struct End {
    std::uint64_t correlation;
    std::int32_t code;
    std::string message;
    std::uint64_t caused_by;
  };

  Subject(const platform::DeviceApi& api, std::shared_ptr<platform::Host> host,
          std::shared_ptr<Complaints> complaints, std::chrono::milliseconds patience, bool with_completions,
          const troupe_module_v1& module);
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;

  troupe_device_context* handle() const { return handle_; }
  const platform::DeviceApi& api() const { return api_; }
  const troupe_module_v1& module() const { return module_; }

  /// Calls a function of the ABI, noting that this thread is inside of it.
  template <class Function, class... Args>
  auto call(Function function, Args... args) {
    const Inside inside{*this};
    return function(handle_, args...);
  }
  /// The same for calls that may deliver completions on the caller's stack.
  template <class Function>
  std::int32_t call_ending(Function function) {
    return function(handle_);
  }

  /// The call must answer `code`; a failure must leave that code and a sentence as the last error.
  template <class Function, class... Args>
  void expect(std::int32_t code, const std::string& what, Function function, Args... args) {
    answered(code, call(function, args...), what);
  }
  void answered(std::int32_t expected, std::int32_t got, const std::string& what);

  /// The device that set_device() takes.
  void prefer(std::int32_t device) { device_ = device; }
  // Shorthands that must succeed.
  void set_device() { set_device(device_); }
  void set_device(std::int32_t device);
  std::uint64_t malloc(std::uint64_t bytes);
  std::uint64_t kernel(const char* name);
  void launch(const std::vector<troupe_run>& runs, std::uint64_t settled = 0);
  std::int32_t run(const troupe_run& run);
  std::string last_text();

  /// Waits until `count` runs have ended in all, and returns them in order of their ends.
  std::vector<End> wait_for(std::size_t count);
  std::vector<End> ends() const;
  /// Waits until the busy cores are as many as asked for.
  std::vector<troupe_core_status> wait_busy(std::size_t cores);
  /// Destroys now; the code.
  std::int32_t destroy();
  /// Destroys if the rule has not, whatever it takes.
  void end();
  /// What a thread said that it went into, and whether it came back.
  struct Visit {
    std::string what, name, task;
    std::uint64_t correlation = 0;
    std::uint32_t block = 0, block_count = 0;
    std::vector<std::uint64_t> tensor_bytes;  ///< as its argument words lead to them
    bool knows_words = false, left = false;
  };
  std::vector<Visit> visits() const;
  /// Called inside the completion callback.
  void on_complete(std::function<void()> action) { action_ = std::move(action); }

 private:
  class Inside {
   public:
    explicit Inside(Subject& subject);
    ~Inside();

   private:
    Subject& subject_;
  };
  static void complete(void* data, const troupe_completion* completions, std::size_t count);
  static troupe_running* running(void* data, troupe_running* what);
  void enter(troupe_running& what);
  void leave(troupe_running* back);

  const platform::DeviceApi& api_;
  std::shared_ptr<platform::Host> host_;
  troupe_host table_{};
  troupe_device_context* handle_ = nullptr;
  std::int32_t device_ = 0;
  std::function<void()> action_;
  mutable std::mutex mutex_;
  std::condition_variable heard_;
  std::vector<End> ends_;
  std::set<std::uint64_t> seen_;
  std::vector<std::thread::id> inside_;
  /// What a thread is inside of, as the host sees it: the record, as it was then, and what came before it.
  struct Entered {
    troupe_running* what;
    troupe_running as_told;
    troupe_running* before;
    std::size_t visit;
  };
  std::map<std::thread::id, std::vector<Entered>> entered_;
  std::vector<Visit> visits_;
  troupe_running outside_{};  ///< what every thread of a context is inside of, before it says anything
  bool gone_ = false;
  std::atomic<int> in_callback_ = 0;
  std::shared_ptr<Complaints> complaints_;
  std::chrono::milliseconds patience_;
  const troupe_module_v1& module_;
};

/// Ends the context when the rule lets go of it. The object itself stays with the probe, so that news that
/// comes after the end is heard, and counted against the library.
struct EndContext {
  void operator()(Subject* subject) const { subject->end(); }
};
using Held = std::unique_ptr<Subject, EndContext>;

/// What a rule works with.
class Probe {
 public:
  Probe(const platform::DeviceApi& api, std::chrono::milliseconds patience, const Materials& materials);

  const platform::DeviceApi& api() const { return api_; }
  std::shared_ptr<platform::HostThreads> host() const { return host_; }
  const troupe_module_v1& module() const { return *materials_.module; }
  const std::vector<char>& foreign() const { return materials_.foreign; }
  /// A new context, as created.
  Held create(bool with_completions = true);
  /// A new context with a device.
  Held ready();
  troupe_device_properties properties(Subject& subject);
  /// Skips the rule unless the library promises all of these features.
  void need(std::uint32_t features);
  /// Skips the rule unless the library has all of these.
  void need(bool available, const char* what) const;
  /// Empty: all completions came where and when they may.
  std::string complaint() const;

 private:
  const platform::DeviceApi& api_;
  std::shared_ptr<platform::HostThreads> host_;
  std::chrono::milliseconds patience_;
  Materials materials_;
  std::shared_ptr<Complaints> complaints_ = std::make_shared<Complaints>();
  std::mutex mutex_;
  std::vector<std::unique_ptr<Subject>> subjects_;
};

/// The suite's own kernels.
const troupe_module_v1& kernels();

}  // namespace troupe::conformance
