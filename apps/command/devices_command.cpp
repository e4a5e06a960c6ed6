#include <algorithm>
#include <filesystem>
#include <ostream>
#include <set>

#include "command/commands.hpp"
#include "errc.hpp"
#include "troupe/platform/device_context.hpp"
#include "troupe/platform/device_library.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/platform/host_threads.hpp"

namespace troupe::apps {
namespace {

std::string bytes(std::uint64_t count) {
  constexpr const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (count >= 1024 && count % 1024 == 0 && unit + 1 < std::size(units)) {
    count /= 1024;
    ++unit;
  }
  return std::to_string(count) + " " + units[unit];
}

/// The names whose library file lies in the search path: libtroupe_NAME.so.
std::set<std::string> candidates() {
  constexpr std::string_view begin = "libtroupe_", end = ".so";
  std::set<std::string> names;
  for (const auto& folder : platform::DeviceLibrary::search_path()) {
    std::error_code problem;
    for (const auto& entry : std::filesystem::directory_iterator(folder, problem)) {
      const std::string name = entry.path().filename().string();
      if (name.size() <= begin.size() + end.size() || !name.starts_with(begin) || !name.ends_with(end))
        continue;
      names.insert(name.substr(begin.size(), name.size() - begin.size() - end.size()));
    }
  }
  // The floors themselves have names of the same form.
  for (const char* floor : {"runtime", "comm", "platform", "actors", "examples", "sim_hooks", "tls"})
    names.erase(floor);
  return names;
}

/// A line for each device that has a name of its own, or the sentence why there is none.
Result<void> list_devices(platform::DeviceContext& context, std::uint32_t count, std::ostream& out) {
  constexpr std::uint32_t most_listed = 64;  // simulated ones are without number, and all alike
  out << "  devices      " << count << "\n";
  if (count > most_listed) return {};
  for (std::uint32_t number = 0; number < std::max(count, 1U); ++number) {
    out << "    " << number << ": ";
    if (auto set = context.set_device(static_cast<std::int32_t>(number)); !set) {
      // As the sentence of a library goes, without which of its functions said so.
      out << set.error().message() << (set.error().hint().empty() ? "" : "; " + set.error().hint()) << "\n";
      continue;
    }
    const auto chip = context.properties();
    if (!chip) return chip.error();
    out << (chip->device_name != nullptr ? chip->device_name : chip->architecture) << ", " << chip->clusters
        << (chip->clusters == 1 ? " unit, " : " units, ") << bytes(chip->memory_bytes) << "\n";
    if (auto reset = context.reset_device(); !reset) return reset;
  }
  return {};
}

Result<void> describe(const std::string& name, const platform::DeviceLibrary& library, std::ostream& out) {
  auto host = std::make_shared<platform::HostThreads>();
  auto context = platform::DeviceContext::create(library.api(), host);
  if (!context) return context.error();
  const auto found = context->properties();
  if (!found) return found.error();
  const troupe_device_properties& chip = *found;
  out << name << "\n"
      << "  library      " << library.path() << "\n"
      << "  architecture " << chip.architecture << ", ABI " << (library.abi_version() >> 16U) << "."
      << (library.abi_version() & 0xffffU) << "\n";
  if (auto listed = list_devices(*context, chip.device_count, out); !listed) return listed;
  if (chip.device_count != 0 && (chip.features & TROUPE_FEATURE_HOST_KERNELS) != 0) {
    out << "  cores        " << chip.clusters << " clusters of " << chip.aic_per_cluster << " AIC + "
        << chip.aiv_per_cluster << " AIV\n"
        << "  memory       " << bytes(chip.memory_bytes) << "\n";
  }
  out << "  a task takes " << chip.max_tensors << " tensors, " << chip.max_scalars << " scalars; "
      << chip.queue_depth << " tasks queued\n"
      << "  kernels      "
      << ((chip.features & TROUPE_FEATURE_HOST_KERNELS) != 0 ? "functions of the program"
                                                             : "device images of a module")
      << ((chip.features & TROUPE_FEATURE_FOREIGN_BYTES) != 0 ? ", or bytes\n" : "\n") << "  windows      "
      << ((chip.features & TROUPE_FEATURE_WINDOWS) != 0 ? "yes" : "no") << "\n";
  return context->close();
}

}  // namespace

std::vector<std::string> platform_names() {
  const auto names = candidates();
  return {names.begin(), names.end()};
}

int execute(const DevicesCommand& command, Console& console) {
  int answer = exit_ok;
  std::size_t listed = 0;
  const auto show = [&](const std::string& name, bool asked_for) {
    const auto library = platform::DeviceLibrary::open(name);
    // What merely lies about may be anything; what was asked for must be a platform.
    if (!library && !asked_for) return;
    const Result<void> described =
        library ? describe(name, *library, console.out) : Result<void>(library.error());
    if (described) {
      ++listed;
      return;
    }
    console.err << "troupe: " << render(described.error()) << "\n";
    answer = exit_cannot_start;
  };
  for (const auto& name : command.platforms) show(name, true);
  if (!command.platforms.empty()) return answer;
  for (const auto& name : candidates()) show(name, false);
  if (listed != 0) return answer;
  console.err << "troupe: no platform was found\n  hint: looked in";
  for (const auto& folder : platform::DeviceLibrary::search_path()) console.err << " " << folder;
  console.err << "; TROUPE_PLATFORM_PATH adds folders\n";
  return exit_cannot_start;
}

}  // namespace troupe::apps
