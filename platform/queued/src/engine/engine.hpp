#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/blocks.hpp"
#include "engine/flight.hpp"
#include "engine/host_tensors.hpp"
#include "engine/queued_graph.hpp"
#include "engine/unfinished.hpp"
#include "memory/memory.hpp"
#include "runs/runs.hpp"
#include "threads/threads.hpp"

namespace troupe::platform::queued {

/// Executes runs on a queued device. One thread gives them to the device, in the order of their launch, and
/// looks for their ends; it sleeps while there is nothing to do. What a run depends on becomes an order
/// between calls on the device where the device can keep it: the kernel of a module looks at how those before
/// it ended, and is skipped if one failed, without the host. A run waits for the host, and what was launched
/// after it with it, when it depends on one whose outputs go back to the host, when its kernel came as bytes
/// and looks at nothing, when it depends on more runs than a block has room for, and
/// when it is a launch of a graph of which as many as may overlap (eight) have not ended.
///
/// Copies have queues of their own. A run's inputs are copied while others compute; its outputs are copied
/// once the host knows that the run ended well.
class Engine : Job {
 public:
  struct Parts {
    HostServices& host;
    CoreThreads& threads;
    const CallableTable& callables;
    DeviceMemory& memory;
    Driver& driver;
  };
  /// `lanes` of each block; `together`: blocks that are sure to run at the same time.
  Engine(const Parts& parts, std::uint32_t lanes, std::uint32_t together);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Queues for the device.
  Result<void> open();

  using Of = Unfinished::Of;
  Result<void> launch(std::span<const troupe_run> runs, std::uint64_t settled, Of of = Of::callables);
  Result<std::uint64_t> add_graph(const troupe_graph& graph, CallableTable& to);
  Outcome run_and_wait(const troupe_run& run, troupe_completion* completion);
  Result<void> abort(std::uint64_t correlation);
  bool inside_callback() const noexcept { return delivery_.is_inside(); }
  /// False: something did not end by then; all is reported as aborted all the same, and nothing afterwards.
  bool close(Unfinished::Clock::time_point deadline);

  const Unfinished& unfinished() const noexcept { return unfinished_; }
  bool lost() const noexcept { return lost_.load(std::memory_order_acquire); }
  /// The device has died, as a call outside the engine was told.
  void note_loss() noexcept { lost_.store(true, std::memory_order_release); }
  std::size_t report_cores(troupe_core_status* cores, std::size_t capacity) const;

 private:
  /// A queue of the device, and what was given to it and has not ended.
  struct Line {
    Queue queue{};
    std::deque<Flight*> flights;
    std::uint64_t last_end_ns = 0;
    bool touched = false;        ///< since it was flushed
    std::uint32_t refusals = 0;  ///< flushes that failed, one after the other
  };
  enum class Turn : std::uint8_t { later, taken };
  static constexpr std::size_t most_on_device = 1024;

  // engine.cpp: the thread and its round
  void run() noexcept override;
  void serve() noexcept;
  bool wake();
  void sleep(std::uint32_t seen, std::uint32_t microseconds);
  bool wait_for_more(std::uint32_t seen) const;
  bool is_idle() const noexcept { return held_.empty() && given_ == 0; }
  void deliver() noexcept;
  void flush_lines();

  // submission.cpp: from the launch to the device
  bool submit_some();
  bool end_aborted();
  Turn submit(Flight& flight);
  std::optional<Error> refusal(const Run& run) const;
  Result<void> give(Flight& flight, Block& block, std::span<Flight* const> producers);
  Result<void> copy_inputs(Flight& flight);
  void fill(const Flight& flight, Block& block) const;
  std::uint32_t line_for(std::span<Flight* const> producers);

  // graph_runs.cpp: launches of graphs
  Turn submit_graph(Flight& flight, QueuedGraph& graph);
  Result<void> give_graph(Flight& flight, const QueuedGraph& graph, QueuedGraph::Instance& instance);
  Outcome graph_outcome(const Flight& flight, const Result<bool>& how) const;
  /// Null: it is the launch of a kernel.
  static QueuedGraph* graph_of(const Run& run) noexcept {
    const bool is = run.callable != nullptr && run.callable->graph != nullptr;
    return is ? static_cast<QueuedGraph*>(run.callable->graph.get()) : nullptr;
  }

  // ends.cpp: from the device to the host
  bool look_for_ends();
  bool look_at(Line& line, bool are_kernels);
  void kernel_ended(Flight& flight, const Result<bool>& how, std::uint64_t ended_ns);
  void trace(const Flight& flight, std::uint64_t ended_ns, std::int32_t code) const;
  bool has_live_producer(const Run& run) const;
  Outcome outcome_of(const Flight& flight, const Result<bool>& how) const;
  void copy_outputs(Flight& flight);
  void end(Flight& flight, Outcome outcome);
  void end_all_as_lost();
  void stop_copying(Flight& flight);
  void forget(Event& event) noexcept;
  void note(const Error& error) noexcept;

  const Parts parts_;
  const std::uint32_t lanes_, together_;
  Unfinished unfinished_;
  Delivery delivery_;
  std::atomic<bool> lost_{false};

  std::mutex start_;                        ///< runs are added and the thread is started as one
  bool serving_ = false;                    ///< with start_
  std::atomic<bool> asleep_{false};         ///< the thread, until something arrives
  std::atomic<std::uint32_t> arrivals_{0};  ///< bumped for the thread to look

  // The engine's thread.
  Blocks blocks_;
  CopyRoom room_;
  std::deque<Flight*> held_;                         ///< not given to the device yet, in order
  std::unordered_map<std::uint64_t, Flight*> live_;  ///< given to the device and not ended, by correlation
  std::size_t given_ = 0;                            ///< all of those, awaited ones too
  std::vector<Line> lines_;                          ///< for kernels
  Line inputs_, outputs_;                            ///< for copies
  std::uint32_t next_line_ = 0;
  // Kept for their memory.
  std::vector<Flight*> producers_;
  std::vector<Event> after_;
  std::vector<Block*> left_;
  bool is_full_ = false;  ///< until half of the device is free again
};

}  // namespace troupe::platform::queued
