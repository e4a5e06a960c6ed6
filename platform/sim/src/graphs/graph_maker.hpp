#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "graphs/chip_graph.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::sim {

/// Makes a ChipGraph, step by step. One thread.
class GraphMaker {
 public:
  explicit GraphMaker(std::uint32_t slots) { graph_.slots = slots; }

  struct Step {
    std::span<const std::uint16_t, 3> lanes;  ///< kernels from 1 on
    std::uint32_t blocks = 1;
    std::uint16_t flags = 0;
    std::string_view name{};
  };
  /// The next step; what is added below is its own.
  void begin(const Step& step);
  /// `layout`: the tensor as the kernel will see it, of which only the elements count.
  void add_view(std::uint32_t slot, std::uint64_t offset, const runtime::TensorDescriptor& layout,
                runtime::Tag tag);
  void add_fill(std::uint64_t element);  ///< of the latest view
  void add_scalar(std::uint64_t word, std::uint8_t kind);
  void add_scalar_slot(std::uint32_t slot);
  void set_predicate(const troupe_chip_predicate_v1& predicate);
  /// In any order, repeated or not.
  void add_producer(std::uint32_t step) { producers_.emplace_back(step, graph_.size() - 1); }

  std::uint32_t size() const noexcept { return graph_.size(); }
  /// All steps are there. Nothing: there are more kinds of something than a graph can tell apart.
  std::shared_ptr<const ChipGraph> finish(std::uint64_t workspace_bytes);

 private:
  void end_step();
  std::uint16_t name_of(std::string_view name);

  ChipGraph graph_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> producers_;  ///< who, whose
  ChipGraph::Code code_;                                            ///< of the latest step
  std::map<ChipGraph::Code, std::uint16_t> codes_;
  std::map<std::string, std::uint16_t, std::less<>> names_;
  std::map<std::vector<std::uint32_t>, std::uint16_t> layouts_;
  bool too_many_ = false;
};

}  // namespace troupe::platform::sim
