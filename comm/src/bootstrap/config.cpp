#include "troupe/comm/bootstrap_config.hpp"

#include <algorithm>
#include <bit>
#include <set>

#include "troupe/comm/errc.hpp"
#include "troupe/comm/host_segment.hpp"
#include "troupe/comm/window.hpp"
#include "troupe/runtime/dtype.hpp"

namespace troupe::comm {

namespace {

// Windows begin at page borders; nothing stricter can be promised for a buffer.
constexpr std::uint64_t max_alignment = 4096;

Error value_error(std::string what, std::string hint = {}) {
  return Error(Errc::bad_config, "ValueError: " + std::move(what), std::move(hint));
}
Error key_error(std::string what, std::string hint = {}) {
  return Error(Errc::bad_config, "KeyError: " + std::move(what), std::move(hint));
}
std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

Result<HostBufferStaging> find(const std::vector<HostBufferStaging>& stagings, std::string_view name,
                               const char* list) {
  const auto at = std::find_if(stagings.begin(), stagings.end(),
                               [&](const HostBufferStaging& staging) { return staging.name == name; });
  if (at == stagings.end()) {
    return key_error(std::string(list) + " has no staging for buffer " + quoted(name),
                     "add a HostBufferStaging with that name");
  }
  return *at;
}

Result<void> check_communicator(const ChipCommBootstrapConfig& comm) {
  if (comm.nranks < 1 || comm.nranks > static_cast<int>(max_ranks)) {
    return value_error("nranks=" + std::to_string(comm.nranks) + " is not in [1, 64]");
  }
  if (comm.rank < 0 || comm.rank >= comm.nranks) {
    return value_error("rank=" + std::to_string(comm.rank) + " is not in [0, " + std::to_string(comm.nranks) +
                       ")");
  }
  if (comm.rootinfo_path.empty()) {
    return value_error("rootinfo_path must not be empty", "any text that all ranks share, e.g. a job id");
  }
  if (comm.window_size > max_window_bytes) {
    return value_error("window_size=" + std::to_string(comm.window_size) + " exceeds " +
                       std::to_string(max_window_bytes));
  }
  return {};
}

Result<void> check_staging(const ChipBufferSpec& buffer, const Result<HostBufferStaging>& staging,
                           const char* list) {
  if (!staging) return staging.error();
  if (staging->size != buffer.nbytes) {
    return value_error(std::string(list) + " " + quoted(buffer.name) + " has size " +
                       std::to_string(staging->size) + ", the buffer has nbytes " +
                       std::to_string(buffer.nbytes));
  }
  if (staging->size == 0) return {};
  if (auto name = shared_memory_name(staging->shm_name); !name) {
    return value_error(std::string(list) + " " + quoted(buffer.name) + ": " + name.error().message());
  }
  return {};
}

Result<void> check_buffer(const ChipBootstrapConfig& config, const ChipBufferSpec& buffer) {
  if (buffer.name.empty()) return value_error("a buffer has no name");
  if (buffer.placement != "window") {
    return value_error("ChipBufferSpec.placement=" + quoted(buffer.placement) +
                       "; only 'window' is supported");
  }
  const auto dtype = runtime::dtype_from_name(buffer.dtype);
  if (!dtype) return value_error("buffer " + quoted(buffer.name) + ": unknown dtype " + quoted(buffer.dtype));
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(buffer.count, runtime::size_of(*dtype), &bytes) || bytes > buffer.nbytes) {
    return value_error("buffer " + quoted(buffer.name) + ": count=" + std::to_string(buffer.count) + " of " +
                       buffer.dtype + " does not fit nbytes=" + std::to_string(buffer.nbytes));
  }
  if (buffer.load_from_host) {
    auto checked = check_staging(buffer, config.input_staging(buffer.name), "host_inputs");
    if (!checked) return checked;
  }
  if (buffer.store_to_host) {
    auto checked = check_staging(buffer, config.output_staging(buffer.name), "host_outputs");
    if (!checked) return checked;
  }
  return {};
}

Result<void> check_names(const ChipBootstrapConfig& config) {
  std::set<std::string_view> buffers;
  for (const ChipBufferSpec& buffer : config.buffers) {
    if (!buffers.insert(buffer.name).second) {
      return value_error("two buffers are named " + quoted(buffer.name));
    }
  }
  for (const auto* stagings : {&config.host_inputs, &config.host_outputs}) {
    const char* list = stagings == &config.host_inputs ? "host_inputs" : "host_outputs";
    std::set<std::string_view> names;
    for (const HostBufferStaging& staging : *stagings) {
      if (!buffers.contains(staging.name)) {
        return value_error(std::string(list) + " names " + quoted(staging.name) + ", which is no buffer");
      }
      if (!names.insert(staging.name).second) {
        return value_error(std::string(list) + " has two stagings for " + quoted(staging.name));
      }
    }
  }
  return {};
}

}  // namespace

Result<HostBufferStaging> ChipBootstrapConfig::input_staging(std::string_view name) const {
  return find(host_inputs, name, "host_inputs");
}

Result<HostBufferStaging> ChipBootstrapConfig::output_staging(std::string_view name) const {
  return find(host_outputs, name, "host_outputs");
}

Result<std::vector<std::uint64_t>> validate(const ChipBootstrapConfig& config) {
  if (!std::has_single_bit(config.buffer_alignment) || config.buffer_alignment > max_alignment) {
    return value_error("buffer_alignment=" + std::to_string(config.buffer_alignment) +
                       " is not a power of two up to " + std::to_string(max_alignment));
  }
  if (config.comm) {
    if (auto checked = check_communicator(*config.comm); !checked) return checked.error();
  } else if (!config.buffers.empty()) {
    return value_error("buffers need a window, and comm is None",
                       "give the config a ChipCommBootstrapConfig");
  }
  if (auto checked = check_names(config); !checked) return checked.error();

  std::vector<std::uint64_t> offsets;
  std::uint64_t end = 0;
  for (const ChipBufferSpec& buffer : config.buffers) {
    if (auto checked = check_buffer(config, buffer); !checked) return checked.error();
    // `end` never exceeds a window, and a window is far from the largest u64: this cannot overflow.
    const std::uint64_t offset = (end + config.buffer_alignment - 1) & ~(config.buffer_alignment - 1);
    if (offset > config.comm->window_size || buffer.nbytes > config.comm->window_size - offset) {
      return value_error("buffer " + quoted(buffer.name) + " (nbytes=" + std::to_string(buffer.nbytes) +
                         ") at offset=" + std::to_string(offset) + " overflows window size " +
                         std::to_string(config.comm->window_size));
    }
    offsets.push_back(offset);
    end = offset + buffer.nbytes;
  }
  return offsets;
}

Result<ChipContext> chip_context(int device_id, const ChipBootstrapConfig& config,
                                 const ChipBootstrapResult& result) {
  if (result.buffer_ptrs.size() != config.buffers.size()) {
    return Error(Errc::mismatch, "RuntimeError: chip " + std::to_string(device_id) + " reported " +
                                     std::to_string(result.buffer_ptrs.size()) + " buffers, its config has " +
                                     std::to_string(config.buffers.size()));
  }
  ChipContext context{.device_id = device_id,
                      .device_ctx = result.device_ctx,
                      .local_window_base = result.local_window_base,
                      .actual_window_size = result.actual_window_size,
                      .buffer_ptrs = {}};
  if (config.comm) {
    context.rank = config.comm->rank;
    context.nranks = config.comm->nranks;
  }
  for (std::size_t i = 0; i < config.buffers.size(); ++i) {
    const std::uint64_t offset = result.buffer_ptrs[i] - result.local_window_base;  // wraps when below
    if (offset > result.actual_window_size || config.buffers[i].nbytes > result.actual_window_size - offset) {
      return Error(Errc::mismatch, "RuntimeError: chip " + std::to_string(device_id) + " reported buffer " +
                                       quoted(config.buffers[i].name) + " outside its window");
    }
    context.buffer_ptrs.emplace(config.buffers[i].name, result.buffer_ptrs[i]);
  }
  return context;
}

}  // namespace troupe::comm
