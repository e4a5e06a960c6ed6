#pragma once

// Configurations, as plain values with defaults. They are read when a System, a node or an executor is made,
// and copied; later changes have no effect. The functions in them (`log`, `at_crash`, `device`) are kept and
// called from any thread.
// Errors: a value that cannot be used is refused with bad_argument by the call that gets it.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "troupe/actors/placing.hpp"
#include "troupe/comm/bootstrap_config.hpp"
#include "troupe/platform/device_api.hpp"
#include "troupe/platform/nodes.hpp"
#include "troupe/runtime/result.hpp"
#include "troupe/runtime/saturated.hpp"

namespace troupe::platform {
class Host;
}

namespace troupe::actors {

/// Takes log lines of the system and its plugins. Called from any thread.
using LogSink = std::function<void(int level, std::string_view path, std::string_view text)>;

class TraceSink;   // trace_sink.hpp
class TensorDump;  // tensor_dump.hpp

struct SystemConfig {
  std::size_t threads = 0;     ///< for actors; 0: as many as the machine has cores
  bool deterministic = false;  ///< everything on the caller's thread, with a virtual clock; see testing.hpp
  int log_level = 2;           ///< 0 nothing, 1 errors, 2 warnings, 3 info, 4 debug
  LogSink log = {};            ///< default: `log_file`, or standard error
  std::string log_file = {};   ///< lines are appended there, with the time; empty: standard error
  /// The sink that records which task ran where and when; null: none. Read it when the system has gone.
  std::shared_ptr<TraceSink> trace = {};
  /// Write the trace there when the system ends, in Chrome / Perfetto format; empty: do not. Cannot be
  /// written: the constructor throws `cannot_write`, or at the end a line in the log.
  std::string trace_file = {};
  /// When a thread crashes, write to standard error (and to the log, if that is elsewhere) what it was inside
  /// of, and write the trace file. Then the process dies as it would have. Installs signal handlers, which
  /// belong to the process: see platform/crash_report.hpp.
  bool report_crashes = false;
  /// Called after that, on a thread of its own, for files of a user's own.
  std::function<void()> at_crash = {};
  /// The dump that gets the tensors of every kernel; null: none. Needs a trace too, whose numbers it uses.
  std::shared_ptr<TensorDump> dump = {};
  /// The host that lends time and threads to devices and actors; default: one of the system's own.
  std::shared_ptr<platform::Host> host = {};
};

/// Executors of one node: each has an arena, and more come up in minutes, or not at all.
inline constexpr int most_executors = 16384;

/// A number as wide as it was written, so that `chips = 1ULL << 32` is refused instead of being cut. Negative
/// numbers are refused, too.
using Count = std::int64_t;

/// How often a child may die before its supervisor gives up on it.
struct RestartLimit {
  Count restarts = 5;
  runtime::Nanoseconds within = std::chrono::seconds(10);
};

struct ChipConfig {
  std::string platform = "a2a3sim";  ///< a name or the path of a platform library
  Count device_id = 0;
  Count credit = 64;  ///< runs in flight on the device
  /// How long a task that was given up (cancel, deadline) may go on before the chip is given up with it: a
  /// kernel cannot be stopped, only left behind.
  runtime::Nanoseconds abort_grace = std::chrono::seconds(2);
  std::vector<std::pair<std::string, std::string>> options = {};  ///< of the device context
  /// In a process of its own: a kernel that crashes, exits or does not return ends this chip and nothing
  /// else. Needs kernels from modules; see docs/scaling.md.
  bool own_process = false;
  /// A chip of a node on another machine instead; `platform` and `device_id` are the node's. One that cannot
  /// be reached is tried again for so long before it is out of use.
  std::shared_ptr<const platform::RemoteChip> remote = {};
  runtime::Nanoseconds rejoin = std::chrono::seconds(60);
  /// Fills the device table of each incarnation; default: the platform's library. Tests put scripted or
  /// faulty chips here.
  std::function<Result<platform::DeviceApi>(std::uint32_t incarnation)> device = {};
};

/// Host functions. Likewise: a function that does not return when it is given up keeps its thread.
struct SubWorkerConfig {
  runtime::Nanoseconds abort_grace = std::chrono::seconds(2);
};
struct WorkerConfig;

/// One child of a worker.
using ExecutorConfig = std::variant<ChipConfig, SubWorkerConfig, std::shared_ptr<const WorkerConfig>>;

/// A worker of any level: it is what its executors make it.
struct WorkerConfig {
  std::string name = "node0";
  std::vector<ExecutorConfig> executors = {};
  Count max_runs = 64;  ///< under way at once, a thread each for plain functions; further ones wait
  RestartLimit restart = {};
  std::uint64_t arena_bytes = 256ULL << 20U;  ///< intermediates of one run, per scope depth
  Count soft_limit = 8192;                    ///< unfinished tasks of one program before it has to wait
  Count hard_limit = 65536;                   ///< … before submit fails in a coroutine
  /// Bring-up of the chips with communicator and buffers, one entry per chip; empty: plain chips.
  std::vector<comm::ChipBootstrapConfig> chip_bootstrap_configs = {};
  bool recover = true;             ///< see NodeConfig
  PlacementPolicy placement = {};  ///< see NodeConfig; of chips
  std::string models = {};
  std::string learned = {};  ///< what stood in that file when the configuration was made
};

/// A node as users ask for it: `{.platform = "a2a3sim", .chips = 2}`.
struct NodeConfig {
  std::string name = "node0";
  std::string platform = "a2a3sim";
  Count chips = 1;
  Count first_device = 0;  ///< device number of chip 0
  Count sub_workers = 1;
  Count credit = 64;
  runtime::Nanoseconds abort_grace = std::chrono::seconds(2);  ///< see ChipConfig
  std::vector<std::pair<std::string, std::string>> device_options = {};
  bool own_process = false;  ///< each chip; see ChipConfig
  /// The chips of these nodes on other machines (`troupe node`), numbered through, instead of chips here:
  /// then `platform`, `chips` and `first_device` are theirs. See docs/scaling.md.
  std::vector<platform::RemoteNode> remote = {};
  runtime::Nanoseconds rejoin = std::chrono::seconds(60);  ///< see ChipConfig
  /// Instead of a platform library: the device table of chip `index`, incarnation `incarnation`.
  std::function<Result<platform::DeviceApi>(int index, std::uint32_t incarnation)> device = {};
  Count max_runs = 64;
  RestartLimit restart = {};
  std::uint64_t arena_bytes = 256ULL << 20U;
  Count soft_limit = 8192;
  Count hard_limit = 65536;
  std::vector<comm::ChipBootstrapConfig> chip_bootstrap_configs = {};
  /// Bytes that were only on a chip that dies are made again, where that is possible: the tasks of the run
  /// that wrote them run once more on another chip. Off: tasks that read them fail with `data_lost`.
  bool recover = true;
  /// The chip for a task that is bound to none: `earliest_finish`, `least_loaded`, `where_the_data_is`, or a
  /// function of your own; see placing.hpp. None: where its data is, unless others wait there while another
  /// chip has nothing to do; then nothing is learned.
  PlacementPolicy placement = {};
  /// A file with what was learned of tasks and copies: read when the node is made, if it is there, and
  /// written when the node ends. A file that cannot be read is refused; one that cannot be written is a
  /// warning.
  std::string models = {};
};

/// A worker of workers: `{.nodes = {NodeConfig{…}, NodeConfig{…}}}`.
struct PodConfig {
  std::string name = "pod0";
  std::vector<NodeConfig> nodes = {};
  std::vector<std::shared_ptr<const WorkerConfig>> workers = {};  ///< further ones, of any level
  Count sub_workers = 0;
};

/// The worker a node or pod configuration describes. Nodes on other machines are asked how many chips they
/// have: that blocks, and throws what is wrong with them.
TROUPE_API std::shared_ptr<const WorkerConfig> to_worker(const NodeConfig& config);
TROUPE_API std::shared_ptr<const WorkerConfig> to_worker(const PodConfig& config);

}  // namespace troupe::actors
