#include "worker/bootstrap_plan.hpp"

#include "troupe/comm/errc.hpp"

namespace troupe::actors {
namespace {

Result<std::shared_ptr<const comm::HostSegment>> attach(const Result<comm::HostBufferStaging>& staging,
                                                        const char* list) {
  if (!staging) return staging.error();
  if (staging->size == 0) return std::shared_ptr<const comm::HostSegment>();
  auto segment = comm::HostSegment::attach(staging->shm_name, staging->size);
  if (segment) return std::make_shared<const comm::HostSegment>(std::move(*segment));
  const char* type = segment.error() == comm::Errc::not_found ? "FileNotFoundError: " : "ValueError: ";
  return Error(segment.error().code(),
               type + std::string(list) + " '" + staging->name + "': " + segment.error().message(),
               segment.error().hint());
}

Result<std::vector<BootstrapPlan::Buffer>> buffers_of(const comm::ChipBootstrapConfig& config) {
  auto offsets = comm::validate(config);
  if (!offsets) return offsets.error();
  std::vector<BootstrapPlan::Buffer> buffers;
  for (std::size_t i = 0; i < config.buffers.size(); ++i) {
    const auto& spec = config.buffers[i];
    BootstrapPlan::Buffer buffer{spec.name, (*offsets)[i], spec.nbytes, nullptr, nullptr};
    if (spec.load_from_host) {
      auto input = attach(config.input_staging(spec.name), "host_inputs");
      if (!input) return input.error();
      buffer.input = *input;
    }
    if (spec.store_to_host) {
      auto output = attach(config.output_staging(spec.name), "host_outputs");
      if (!output) return output.error();
      buffer.output = *output;
    }
    buffers.push_back(std::move(buffer));
  }
  return buffers;
}

Error wrong(const std::string& text) { return {comm::Errc::bad_config, "ValueError: " + text}; }

}  // namespace

std::optional<BootstrapPlan::Refusal> BootstrapPlan::make(
    const std::vector<comm::ChipBootstrapConfig>& configs,
    const std::vector<std::pair<std::int32_t, std::int32_t>>& chips, BootstrapPlan& plan) {
  plan = {};
  if (configs.empty()) return std::nullopt;
  if (configs.size() != chips.size()) {
    return Refusal{0, wrong("chip_bootstrap_configs length (" + std::to_string(configs.size()) +
                            ") must equal the number of chips (" + std::to_string(chips.size()) + ")")};
  }
  for (std::size_t i = 0; i < configs.size(); ++i) {
    const auto [index, device_id] = chips[i];
    auto buffers = buffers_of(configs[i]);
    if (!buffers) return Refusal{index, buffers.error()};
    ChipPlan chip{configs[i], device_id, -1, *std::move(buffers)};
    if (const auto& comm = configs[i].comm) {
      auto group = plan.groups_.begin();
      while (group != plan.groups_.end() && group->meeting != comm->rootinfo_path) ++group;
      if (group == plan.groups_.end()) {
        group = plan.groups_.insert(group, {comm->rootinfo_path, {}, comm->window_size, {}});
        group->chips.assign(static_cast<std::size_t>(comm->nranks), -1);
      }
      const auto at = "communicator '" + group->meeting + "'";
      if (group->chips.size() != static_cast<std::size_t>(comm->nranks)) {
        return Refusal{index, wrong(at + ": nranks is " + std::to_string(comm->nranks) + " here and " +
                                    std::to_string(group->chips.size()) + " on another chip")};
      }
      if (group->window_bytes != comm->window_size) {
        return Refusal{index, wrong(at + ": window_size is " + std::to_string(comm->window_size) +
                                    " here and " + std::to_string(group->window_bytes) + " on another chip")};
      }
      auto& place = group->chips[static_cast<std::size_t>(comm->rank)];
      if (place >= 0) {
        return Refusal{index,
                       wrong(at + ": rank " + std::to_string(comm->rank) + " is two chips of this node")};
      }
      place = index;
      chip.group = static_cast<std::int32_t>(group - plan.groups_.begin());
    }
    plan.chips_.emplace(index, std::move(chip));
  }
  for (auto& group : plan.groups_) {
    std::int32_t any = -1;
    for (const auto chip : group.chips) any = std::max(any, chip);
    for (std::size_t rank = 0; rank < group.chips.size(); ++rank) {
      if (group.chips[rank] >= 0) continue;
      return Refusal{any, wrong("communicator '" + group.meeting + "': rank " + std::to_string(rank) +
                                " is no chip of this node")};
    }
    // A name means the same piece of every window, or it is not the domain's but a chip's own.
    for (const auto& buffer : plan.chips_.at(group.chips.front()).buffers)
      group.buffers[buffer.name] = {buffer.offset, buffer.bytes};
    for (const auto chip : group.chips) {
      std::erase_if(group.buffers, [&](const auto& named) {
        for (const auto& buffer : plan.chips_.at(chip).buffers) {
          if (buffer.name == named.first) return std::pair(buffer.offset, buffer.bytes) != named.second;
        }
        return true;
      });
    }
  }
  return std::nullopt;
}

Result<comm::ChipContext> BootstrapPlan::context(std::int32_t chip, const RankInfo* rank) const {
  const auto& plan = chips_.at(chip);
  comm::ChipBootstrapResult result;
  if (rank != nullptr) {
    result.device_ctx = rank->context;
    result.local_window_base = rank->base;
    result.actual_window_size = rank->bytes;
    for (const auto& buffer : plan.buffers) {
      if (buffer.offset > rank->bytes || buffer.bytes > rank->bytes - buffer.offset) {
        return wrong("buffer '" + buffer.name + "' (nbytes=" + std::to_string(buffer.bytes) + ") at offset=" +
                     std::to_string(buffer.offset) + " overflows window size " + std::to_string(rank->bytes));
      }
      result.buffer_ptrs.push_back(rank->base + buffer.offset);
    }
  }
  return comm::chip_context(plan.device_id, plan.config, result);
}

}  // namespace troupe::actors
