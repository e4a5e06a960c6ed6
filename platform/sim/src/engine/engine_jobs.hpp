#pragma once

#include "engine/engine.hpp"
#include "troupe/platform/errc.hpp"

// What a chip engine hands to other threads.
namespace troupe::platform::sim {

inline Error aborted() { return Error(Errc::aborted, "the run was aborted"); }

/// How the kernels of the current run wait.
class ChipEngine::Host final : public KernelHost {
 public:
  Host(ChipEngine& engine, const Parts& parts, Run& run)
      : KernelHost(parts.host, parts.memory, parts.windows, run), engine_(engine) {}

 private:
  void about_to_park(CoreSlot& core, bool /*local*/) override { engine_.parking(core); }
  ChipEngine& engine_;
};

/// A thread that takes whatever work there is, until there is none for a while.
struct ChipEngine::Helper final : Job {
  explicit Helper(ChipEngine& of) : engine(of) {}
  void run() noexcept override { engine.serve_helper(*this); }
  ChipEngine& engine;
};

/// A thread for one member of a set that runs together.
struct ChipEngine::Lane final : Job {
  explicit Lane(ChipEngine& of) : engine(of) {}
  void run() noexcept override { engine.run_lane(*this); }
  ChipEngine& engine;
  Piece piece;
};

/// A thread for what a task has left to be completed later; its core is free meanwhile.
struct ChipEngine::Deferral final : Job {
  explicit Deferral(ChipEngine& of) : engine(of) {}
  void run() noexcept override { engine.run_deferral(*this); }
  ChipEngine& engine;
  TaskRecord* task = nullptr;
  CoreSlot slot;  ///< of no core
};

}  // namespace troupe::platform::sim
