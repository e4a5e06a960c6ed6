#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "host/child.hpp"
#include "host/module_files.hpp"
#include "host/session.hpp"
#include "troupe/platform/isolated.hpp"

namespace troupe::platform::isolation {

/// What all contexts of one table have in common.
struct Settings {
  IsolatedOptions options;
  std::string program, library;
  /// Of chips on another machine: how one is reached, where, and how long it may say nothing.
  std::function<Result<std::unique_ptr<Peer>>()> reach = {};
  std::string address = {};
  std::uint64_t silence_ns = 0;
  std::shared_ptr<ModuleFiles> modules = {};
};

/// A device context whose device is in another process. What the device ABI says of contexts holds.
///
/// One thread, lent by the host, starts the process, hears what it says, and waits for its end; there may be
/// several processes one after the other (a reset that had to kill one).
class Context final : Link::Receiver {
 public:
  Context(const troupe_host& host, std::shared_ptr<const Settings> settings);
  ~Context() override;

  /// Starts a process. An error: there is none, and the context is good for nothing.
  Result<void> begin();

  // The calls. Each answers a code, and notes it if it is a failure.
  std::int32_t finalize();
  std::int32_t reset();
  std::int32_t set_option(const char* name, const char* value);
  std::int32_t set_device(std::int32_t device);
  std::int32_t allocate(std::uint64_t bytes, std::uint64_t* address);
  std::int32_t free(std::uint64_t address);
  std::int32_t copy(bool to_device, std::uint64_t device, std::byte* host, std::uint64_t bytes);
  std::int32_t register_callable(const troupe_callable* callable, std::uint64_t* id);
  /// `graphs`: their callables are graphs.
  std::int32_t launch(const troupe_run* runs, std::size_t count, std::uint64_t settled, bool graphs = false);
  std::int32_t register_graph(const troupe_graph* graph, std::uint64_t* id);
  std::int32_t launch_graph(const troupe_run* run, std::uint64_t settled);
  std::int32_t run(const troupe_run* run, troupe_completion* completion);
  std::int32_t abort(std::uint64_t correlation);
  std::int32_t properties(troupe_device_properties* properties);
  std::int32_t status(troupe_device_status* status, troupe_core_status* cores, std::size_t capacity,
                      std::size_t* count);
  std::int32_t window_create(const troupe_window_spec* spec, std::uint64_t* window, troupe_window_blob* blob);
  std::int32_t window_import(std::uint64_t window, std::uint32_t rank, const troupe_window_blob* blob);
  /// Its memory is nobody's any more who has not imported it.
  void forget_window(std::uint64_t window);
  void* comm_init(std::int32_t rank, std::int32_t ranks, void* stream, const char* meeting);
  void last_error(std::int32_t* code, char* text, std::size_t capacity) const;

  /// Any other call: what goes along, and (into `result`, if it is not null) what comes back.
  template <class Result>
  std::int32_t simple(Kind kind, const Writer& arguments, Result* result) {
    auto answer = ask(kind, arguments);
    if (answer.code == 0 && result != nullptr) {
      Reader reader(answer.more);
      *result = reader.get<Result>();
      if (!reader.complete()) return note(bad_answer());
    }
    return note(answer);
  }
  std::int32_t note(const Answer& answer);
  std::int32_t note(std::int32_t code, std::string text) { return note(Answer{code, std::move(text), {}}); }
  std::int32_t null_argument(const char* what);

 private:
  enum class State : std::uint8_t { created, ready, finalized };
  enum class Wish : std::uint8_t { nothing, process, end };

  struct Flight {
    std::uint64_t correlation = 0;
    bool ended = false, held = false;
    std::uint64_t asked_ns = 0;  ///< when it was asked to end
    StagedRun staged = {};
  };
  /// A run that waits, here, for memory or for what another one does to its host tensors.
  struct Held {
    troupe_run run{};
    std::vector<troupe_tensor_arg> tensors;
    std::vector<std::uint64_t> scalars, depends_on;
    std::vector<std::uint8_t> kinds;
    std::string name;
    bool has_name = false, is_graph = false;
    std::uint64_t settled = 0;
  };
  struct End {
    troupe_completion completion{};
    std::string message;
  };

  // context.cpp: the life of the process.
  static void body(void* self);
  void serve();
  void live(Peer& peer);
  void bury(Session& session, const std::string& how, const std::string& garbage);
  Result<void> frame(Frame& frame) override;
  void caught_up() override;
  Result<void> greet(const Frame& frame);
  Result<void> start_process();
  Result<void> begin_process();
  void end_process(bool ask);
  std::string story(const Session& session, const std::string& how, const std::string& garbage) const;
  std::string lost_where() const;
  void log(std::int32_t level, std::int32_t code, const std::string& text) const;
  std::uint64_t now() const;

  // calls.cpp
  std::int32_t copy_away(Session& session, bool to_device, std::uint64_t device, std::byte* host,
                         std::uint64_t bytes);
  Answer bring_module(const std::string& file, const std::string& name, std::string& digest);
  /// `only`: the one process that the arguments mean something to; null: whichever there is.
  Answer ask(Kind kind, const Writer& arguments, std::span<const int> descriptors = {},
             const Session* only = nullptr);
  /// Of the other end's clock, as this end's.
  std::uint64_t here(std::uint64_t there) const {
    return there == 0 ? 0 : there - static_cast<std::uint64_t>(clock_ahead_ns_.load());
  }
  void put_here(troupe_completion& end) const {
    for (auto* const time : {&end.queued_ns, &end.started_ns, &end.finished_ns}) *time = here(*time);
  }
  static Answer bad_answer();
  bool inside_callback() const { return delivering_.load() == std::this_thread::get_id(); }
  std::optional<Answer> refusal(bool needs_device) const;
  std::uint64_t time_for_ending() const;

  // launches.cpp, under the mutex.
  bool place_tensors(const troupe_run& run, std::vector<troupe_tensor_arg>& tensors, StagedRun& staged);
  bool prepare_to_send(const troupe_run& run, Flight& flight, std::vector<troupe_tensor_arg>& tensors);
  bool must_wait(const StagedRun& run) const;
  void hold(const troupe_run& run, bool is_graph, std::uint64_t settled);
  void release_held();
  void send(Writer& runs, std::uint32_t& count, std::uint64_t settled);
  bool skip_if_producer_failed(const troupe_run& run);
  void end_here(std::uint64_t correlation, std::int32_t code, std::string message, std::uint64_t caused_by);
  Flight* flight_of(std::uint64_t correlation);
  bool finish(Flight& flight, std::int32_t code);
  void end_all(std::int32_t code, const std::string& message);
  void deliver();

  troupe_host host_{};
  const std::shared_ptr<const Settings> settings_;
  std::thread own_thread_;  ///< of a host that lends none

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Wish wish_ = Wish::nothing;
  std::atomic<std::int64_t> clock_ahead_ns_{0};
  bool serving_ = false;  ///< the thread is there
  bool greeted_ = false;
  bool ending_ = false;    ///< the process is ended on purpose
  bool starting_ = false;  ///< there is none yet that calls could go to
  std::optional<Error> not_started_;
  std::string death_;  ///< of what the process died; empty: it lives
  std::shared_ptr<Session> session_;
  State state_ = State::created;
  std::uint64_t silence_ms_ = 5000, grace_ms_ = 1000;
  std::vector<std::pair<std::string, std::string>> options_;
  troupe_device_properties properties_{};
  std::deque<std::string> device_names_;
  std::map<std::uint64_t, comm::FileDescriptor> window_memory_;
  std::uint64_t completed_ = 0, failed_ = 0;
  std::map<std::uint64_t, std::uint64_t> allocations_;  ///< elsewhere: bytes, by address
  std::mutex bringing_;                                 ///< held while something is sent in pieces

  std::deque<Flight> flights_;  ///< unfinished runs, by correlation
  std::deque<Held> held_;
  std::map<std::uint64_t, std::uint64_t> failed_here_;  ///< never sent; with what failed first
  std::uint64_t last_correlation_ = 0, settled_ = 0, last_waited_for_ = 0;
  std::size_t unfinished_ = 0;

  std::vector<End> ends_;  ///< to be told, by the thread that serves
  std::atomic<std::thread::id> delivering_{};

  mutable std::mutex error_mutex_;
  std::int32_t error_code_ = 0;
  std::string error_text_;
};

}  // namespace troupe::platform::isolation
