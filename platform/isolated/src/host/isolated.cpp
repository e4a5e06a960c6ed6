#include "troupe/platform/isolated.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "host/host.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform {
namespace {

constexpr const char* program_name = "troupe-chip";

bool can_be_run(const std::string& path) { return ::access(path.c_str(), X_OK) == 0; }

}  // namespace

MappableMemory::~MappableMemory() = default;

Result<std::string> chip_program() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): read only
  if (const char* said = std::getenv("TROUPE_CHIP_PROGRAM"); said != nullptr && *said != '\0') {
    if (can_be_run(said)) return std::string(said);
    return Error(Errc::load_failed,
                 "TROUPE_CHIP_PROGRAM is '" + std::string(said) + "', which is no program that can be run");
  }
  Dl_info info{};
  std::string places;
  if (::dladdr(reinterpret_cast<const void*>(&error_name), &info) != 0 && info.dli_fname != nullptr) {
    std::error_code problem;
    const auto here = std::filesystem::canonical(info.dli_fname, problem).parent_path();
    // As installed: beside the folder of the platforms. As built: among the programs.
    const std::array<std::filesystem::path, 2> candidates{here / "troupe" / program_name,
                                                          here.parent_path() / "bin" / program_name};
    for (const auto& candidate : candidates) {
      if (can_be_run(candidate.string())) return candidate.string();
      places += (places.empty() ? "'" : "', nor '") + candidate.string();
    }
    places += "'";
  }
  return Error(Errc::load_failed, "there is no program for chips in processes of their own: not " + places,
               "install troupe as a whole, or say where troupe-chip is in TROUPE_CHIP_PROGRAM");
}

Result<DeviceApi> isolated(IsolatedOptions options) {
  auto settings = std::make_shared<isolation::Settings>();
  if (options.program.empty()) {
    auto found = chip_program();
    if (!found) return found.error();
    settings->program = *std::move(found);
  } else {
    settings->program = options.program;
  }
  settings->library = options.library;
  settings->options = std::move(options);
  return isolation::table_for(std::move(settings));
}

}  // namespace troupe::platform
