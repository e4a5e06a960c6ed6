#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "graphs/graph_recorder.hpp"

namespace troupe::platform::sim {

/// A graph of a chip program, as it was recorded.
struct GraphRecording {
  std::string place;  ///< in the program's source
  GraphSlots slots;
  std::shared_ptr<const ChipGraph> graph;  ///< null: it is run each time
  std::vector<RecordedKernel> kernels;
};

/// The recordings of a chip, by program and name; they stay from run to run. Of the program's thread.
class GraphBook {
 public:
  /// Null: there is none.
  GraphRecording* find(std::uint64_t program, const std::string& name) {
    const auto known = recordings_.find({program, name});
    return known == recordings_.end() ? nullptr : &known->second;
  }
  GraphRecording& keep(std::uint64_t program, const std::string& name, GraphRecording recording) {
    // Whoever makes up names without end does not fill the memory: those that are still used come again.
    if (recordings_.size() >= most) recordings_.clear();
    return recordings_.insert_or_assign({program, name}, std::move(recording)).first->second;
  }
  void drop(std::uint64_t program, const std::string& name) { recordings_.erase({program, name}); }

 private:
  static constexpr std::size_t most = 4096;
  std::map<std::pair<std::uint64_t, std::string>, GraphRecording> recordings_;
};

}  // namespace troupe::platform::sim
