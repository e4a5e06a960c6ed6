#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "memory.hpp"
#include "run.hpp"
#include "script.hpp"
#include "troupe/platform/host.hpp"
#include "troupe/runtime/comm_context.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform {

struct ScriptedWindowMemory {
  std::uint64_t bytes = 0;
  AlignedBytes memory;
  bool contains(std::uint64_t address) const {
    const auto base = address_of(memory.get());
    return address >= base && address - base < bytes;
  }
};

/// One context of a scripted chip. Every function of the ABI is a method; the C functions in api.cpp turn
/// their results into codes. Any thread may call any method; kernels and callbacks run without the lock.
///
/// Runs end on the thread that steps: the host's, when it calls what was posted; the caller's of run_runtime.
/// One thread steps at a time. Completions wait in `undelivered_` until a step, or the end of the context,
/// delivers them: never on the stack of a launch, an abort or a run_runtime.
class ScriptedContext : public std::enable_shared_from_this<ScriptedContext> {
 public:
  ScriptedContext(std::shared_ptr<Script> script, const troupe_host* host);

  Result<void> set_option(const std::string& name, const std::string& value);
  Result<void> set_device(std::int32_t device_id);
  Result<void> reset();
  Result<void> finalize();
  Result<void> destroy();

  Result<std::uint64_t> malloc(std::uint64_t bytes);
  Result<void> free(std::uint64_t address);
  Result<void> copy_to(std::uint64_t device, const void* host, std::uint64_t bytes);
  Result<void> copy_from(void* host, std::uint64_t device, std::uint64_t bytes);

  /// null: of the host.
  static Result<void> move(const troupe_move& move, ScriptedContext* from, ScriptedContext* to);

  Result<std::uint64_t> register_callable(const troupe_callable& callable);
  Result<void> unregister_callable(std::uint64_t id);

  Result<void> launch(const troupe_run* runs, std::size_t count, std::uint64_t settled);
  Result<void> run_blocking(const troupe_run& run, troupe_completion* completion);
  Result<void> abort(std::uint64_t correlation);

  Result<void> properties(troupe_device_properties& out) const;
  Result<void> status(troupe_device_status& out, troupe_core_status* cores, std::size_t capacity,
                      std::size_t& count) const;

  Result<std::uint64_t> window_create(const troupe_window_spec& spec, troupe_window_blob& blob);
  Result<void> window_import(std::uint64_t window, std::uint32_t rank, const troupe_window_blob& blob);
  Result<troupe_window_view> window_commit(std::uint64_t window);
  Result<void> window_abort(std::uint64_t window, std::int32_t code, std::uint32_t rank);
  Result<void> window_release(std::uint64_t window);

  /// True on the thread that is delivering completions of this context.
  bool inside_callback() const;
  /// Remembers a failure; returns its code.
  std::int32_t fail(const Error& error);
  void last_error(std::int32_t& code, std::string& text) const;
  std::shared_ptr<Script> script() const { return script_; }
  std::int32_t device_id() const;

  /// One turn: ends up to `completions_per_step` runs and delivers. False: nothing could be done.
  bool step();
  void release_hung();
  /// A window that this context shares was given up: waits may end.
  void window_was_aborted();

 private:
  using Lock = std::unique_lock<std::mutex>;
  struct Window {
    troupe_window_spec spec{};
    std::shared_ptr<ScriptedDomain> domain;
    std::shared_ptr<ScriptedWindowMemory> own;
    std::map<std::uint32_t, std::shared_ptr<ScriptedWindowMemory>> peers;
    std::unique_ptr<runtime::CommContext> context;  // set by commit
  };

  Result<void> need_ready() const;
  Result<void> check_device(std::uint64_t address, std::uint64_t bytes) const;
  std::shared_ptr<ScriptedRun> make_run(const troupe_run& request) const;
  bool in_use(const std::function<bool(std::uint64_t address)>& inside) const;
  Result<void> end_everything(Lock& lock, const char* what);
  Result<Window*> find_window(std::uint64_t id);

  // The engine; all with the lock held.
  bool advance(Lock& lock, bool skip_delays);
  bool begin(Lock& lock, const std::shared_ptr<ScriptedRun>& run);
  void finish(const std::shared_ptr<ScriptedRun>& run, std::int32_t code, std::string message,
              std::uint64_t caused_by = 0);
  void tell(const std::shared_ptr<ScriptedRun>& run, std::int32_t code, std::string message,
            std::uint64_t caused_by = 0);
  void lose();
  void deliver(Lock& lock);
  bool can_go_on() const;
  std::int32_t window_abort_code() const;
  void schedule(Lock& lock, std::uint64_t delay_ns);
  std::uint64_t now() const;

  const std::shared_ptr<Script> script_;
  std::shared_ptr<Host> own_host_;  // where the host lends no `post` or no clock
  troupe_host host_{};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::int32_t state_ = TROUPE_STATE_CREATED;
  std::int32_t device_id_ = -1;
  std::uint64_t grace_ms_ = 1000;
  bool destroyed_ = false;

  ScriptedMemory memory_;
  std::map<std::uint64_t, std::shared_ptr<const ScriptedCallable>> callables_;
  std::uint64_t next_id_ = 1;  // of callables and windows
  std::map<std::uint64_t, Window> windows_;

  std::deque<std::shared_ptr<ScriptedRun>> queue_;         // the front one may be executing
  std::vector<std::shared_ptr<ScriptedRun>> dropped_;      // ran, but nobody was told
  std::vector<std::shared_ptr<ScriptedRun>> stuck_;        // told as aborted, kernel still inside
  std::vector<std::shared_ptr<ScriptedRun>> undelivered_;  // ended, the host does not know yet
  std::map<std::uint64_t, std::uint64_t> failed_;          // correlation -> the first failure behind it
  std::uint64_t last_correlation_ = 0, ordinal_ = 0, completed_ = 0, failures_ = 0;
  std::uint32_t unfinished_ = 0;
  std::uint32_t posting_ = 0;  // threads inside the host's post
  bool stepping_ = false, delivering_ = false, posted_ = false;
  std::thread::id stepping_thread_, delivering_thread_;

  mutable std::mutex error_mutex_;
  std::int32_t error_code_ = 0;
  std::string error_text_;
};

}  // namespace troupe::platform
