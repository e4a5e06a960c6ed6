#pragma once

// One context on one device, owned: closing or destroying it ends everything on the device. It keeps its host
// alive and borrows the host tensors and modules of its runs. One caller at a time, with the exceptions that
// the class names.
// Errors are Results with the platform's code and sentence; a call at the wrong time is invalid_state, one
// after close is finalized, one that the platform lacks is unsupported.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/platform/device_api.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/platform/host.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform {

/// The callbacks for a context's news. Callbacks come from the platform's threads (under a deterministic
/// host: from its step), must not block for long, must not throw and must not call the context. None comes
/// after the context was closed. An empty one drops the news, except `complete`, without which nothing can be
/// launched.
struct ContextEvents {
  std::function<void(std::span<const troupe_completion>)> complete;  ///< exactly once per launched run
  std::function<void(std::int32_t level, std::int32_t code, std::string_view text)> log;
  std::function<void(std::span<const troupe_trace_event>)> trace;
  std::function<void(const troupe_dump_record&)> dump;
  /// Whose chip it is, for crash reports (crash_report.hpp); empty: they say nothing of it.
  std::string where;
};

struct DeviceStatus {
  troupe_device_status totals{};
  std::vector<troupe_core_status> busy;  ///< what runs where, since when
};

/// One context on one device, owned. Adds to the raw ABI: RAII, lifecycle checks with sentences, errors as
/// values that carry the platform's code and text, typed errors for optional functions that a platform lacks,
/// and quarantine: a context whose kernel does not return is handed to its host (which keeps and counts it)
/// instead of being waited for.
///
/// Move-only. One caller at a time, except `abort`, `comm_abort`, `status`, `properties` and calls on memory,
/// callables and runs: any thread may make those while another is inside a call other than close (an error's
/// text may then be that of the other). Why no locking here: the actor that owns a context orders its calls.
///
/// States: created -(set_device)-> ready -(reset_device)-> created; finalize and close are final.
class TROUPE_API DeviceContext {
 public:
  static Result<DeviceContext> create(DeviceApi api, std::shared_ptr<Host> host, ContextEvents events = {});

  DeviceContext(DeviceContext&&) noexcept;
  DeviceContext& operator=(DeviceContext&&) noexcept;
  /// As close(), without an answer.
  ~DeviceContext();

  /// Ends the context; every unfinished run is completed (aborted) before it returns, and nothing is heard of
  /// the context afterwards. `busy` when a kernel does not return: the context is then in its host's
  /// quarantine and this object is closed all the same. Blocks for the platform's grace at most. Fine when
  /// closed.
  Result<void> close();

  Result<void> set_option(const std::string& name, const std::string& value);
  Result<void> set_device(std::int32_t device_id);
  Result<void> reset_device();
  Result<void> finalize();

  Result<std::uint64_t> malloc(std::uint64_t bytes);
  Result<void> free(std::uint64_t address);
  Result<void> copy_to(std::uint64_t device_address, const void* host, std::uint64_t bytes);
  Result<void> copy_from(void* host, std::uint64_t device_address, std::uint64_t bytes);

  /// A kernel or chip program of a module, by name.
  Result<std::uint64_t> register_callable(const std::string& name, const troupe_module_v1& module);
  /// A foreign object, or anything else that `troupe_callable` can say.
  Result<std::uint64_t> register_callable(const troupe_callable& callable);
  Result<void> unregister_callable(std::uint64_t id);

  /// Queues runs; their ends arrive through `ContextEvents::complete`. All or nothing (see launch_runs).
  Result<void> launch(std::span<const troupe_run> runs, std::uint64_t settled = 0);
  /// Queues one run and waits for its end.
  Result<troupe_completion> run(const troupe_run& run);
  Result<void> abort(std::uint64_t correlation = TROUPE_ALL_RUNS);

  /// Whether the platform takes graphs at all; it may still answer `unsupported` for one.
  [[nodiscard]] bool has_graphs() const noexcept;
  /// Runs that are launched together again and again; the answer is for launch_graph().
  Result<std::uint64_t> register_graph(const troupe_graph& graph);
  /// As launch(), for one run whose callable is a graph.
  Result<void> launch_graph(const troupe_run& run, std::uint64_t settled = 0);
  Result<void> unregister_graph(std::uint64_t id);

  /// Whether bytes go between these two, or within one, by move(): both are of one library that has it.
  [[nodiscard]] bool moves_with(const DeviceContext& other) const noexcept;
  /// Makes a move (see run_move) between memory of these contexts; null: of the host. One of them is this
  /// one. The contexts in `move` are filled in here.
  Result<void> move(troupe_move move, const DeviceContext* from, const DeviceContext* to);

  [[nodiscard]] Result<troupe_device_properties> properties() const;
  [[nodiscard]] Result<DeviceStatus> status() const;

  Result<std::uint64_t> window_create(const troupe_window_spec& spec, troupe_window_blob& blob);
  Result<void> window_import(std::uint64_t window, std::uint32_t rank, const troupe_window_blob& blob);
  Result<troupe_window_view> window_commit(std::uint64_t window);
  Result<void> window_abort(std::uint64_t window, std::int32_t code, std::uint32_t rank);
  Result<void> window_release(std::uint64_t window);

  /// The blocking session of a rank program: readies the communication runtime and a stream where the
  /// platform has them, rolls both back on failure, and takes them down again. One session at a time.
  /// comm_destroy parts together with the other ranks; reset, finalize and close leave a live session at
  /// once.
  Result<void> comm_init(std::int32_t rank, std::int32_t rank_count, const std::string& rootinfo_path);
  Result<std::uint64_t> comm_alloc_windows(std::uint64_t bytes);  ///< device address of the CommContext
  Result<std::uint64_t> comm_local_window_base();
  Result<std::uint64_t> comm_window_size();
  Result<void> comm_barrier();
  Result<void> comm_destroy();
  /// Gives the session up for every rank: their comm calls end with an error. Any thread, also while another
  /// is inside one of the calls above. Fine without a session. Errors: unsupported, invalid_state.
  Result<void> comm_abort();

  /// -1: none set.
  [[nodiscard]] std::int32_t device_id() const noexcept;
  [[nodiscard]] bool closed() const noexcept;
  [[nodiscard]] const DeviceApi& api() const noexcept;

 private:
  struct State;
  explicit DeviceContext(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// An error with a code that came from a device library: platform codes get their name, codes of the floors
/// below keep theirs.
[[nodiscard]] TROUPE_API Error device_error(std::int32_t code, std::string message, std::string hint = {});

}  // namespace troupe::platform
