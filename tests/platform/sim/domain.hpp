#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fixture.hpp"

namespace troupe::test {

/// Chips whose windows form one domain.
struct Domain {
  Domain(const std::string& platform, std::uint32_t ranks, std::uint64_t id, std::uint64_t bytes = 4096,
         const std::map<std::string, std::string>& options = {},
         const std::vector<troupe_window_gap>& gaps = {}) {
    std::vector<troupe_window_blob> blobs(ranks);
    windows.resize(ranks);
    views.resize(ranks);
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      chips.push_back(std::make_unique<Chip>(platform, options, static_cast<int>(rank)));
      troupe_window_spec spec{};
      spec.domain[0] = id;
      spec.epoch = 1;
      spec.bytes = bytes;
      spec.rank = rank;
      spec.rank_count = ranks;
      spec.gaps = gaps.data();
      spec.gap_count = gaps.size();
      windows[rank] = chips[rank]->context.window_create(spec, blobs[rank]).value();
    }
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      for (std::uint32_t peer = 0; peer < ranks; ++peer) {
        chips[rank]->context.window_import(windows[rank], peer, blobs[peer]).value();
      }
    }
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      views[rank] = chips[rank]->context.window_commit(windows[rank]).value();
    }
  }

  void launch(std::uint32_t rank, const std::string& kernel, int rounds) {
    args.emplace_back(std::make_unique<RunArgs>());
    args.back()->add(scalar(views[rank].context_address)).add(scalar(rounds));
    const auto run = args.back()->run(++correlation, chips[rank]->add(kernel));
    chips[rank]->context.launch({&run, 1}).value();
  }

  std::vector<std::unique_ptr<Chip>> chips;
  std::vector<std::uint64_t> windows;
  std::vector<troupe_window_view> views;
  std::vector<std::unique_ptr<RunArgs>> args;
  std::uint64_t correlation = 0;
};

}  // namespace troupe::test
