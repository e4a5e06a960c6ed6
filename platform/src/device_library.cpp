#include "troupe/platform/device_library.hpp"

#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>

#include "troupe/platform/errc.hpp"
#include "troupe/runtime/spelling.hpp"

namespace troupe::platform {

namespace {

std::string directory_of_this_library() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&error_name), &info) == 0 || info.dli_fname == nullptr) return {};
  std::error_code ignored;
  const auto file = std::filesystem::canonical(info.dli_fname, ignored);
  return ignored ? std::string{} : file.parent_path().string();
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

Result<std::string> find(std::string_view name) {
  if (name.find('/') != std::string_view::npos) return std::string{name};
  const auto directories = DeviceLibrary::search_path();
  const std::string begin = "libtroupe_", end = ".so";
  const auto file = begin + std::string{name} + end;
  std::vector<std::string> known;
  for (const auto& directory : directories) {
    std::error_code ignored;
    auto candidate = std::filesystem::path{directory} / file;
    if (std::filesystem::exists(candidate, ignored)) return candidate.string();
    for (const auto& entry : std::filesystem::directory_iterator{directory, ignored}) {
      const auto found = entry.path().filename().string();
      if (!found.starts_with(begin) || !found.ends_with(end)) continue;
      known.push_back(found.substr(begin.size(), found.size() - begin.size() - end.size()));
    }
  }
  return Error{
      Errc::load_failed, "no platform '" + std::string{name} + "': no " + file + " in " + joined(directories),
      runtime::did_you_mean(name, known) +
          "set TROUPE_PLATFORM_PATH to the directory that holds it, or give the path of the library"};
}

/// Whether the file of this code was replaced since it was mapped. The linker answers a path that it knows
/// with what it mapped first: who built a platform anew would go on with the old one.
bool was_replaced(const void* code) {
  const auto address = reinterpret_cast<std::uintptr_t>(code);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t first = 0, last = 0;
    char dash = 0;
    if (std::istringstream range(line); !(range >> std::hex >> first >> dash >> last)) continue;
    if (address >= first && address < last) return line.ends_with(" (deleted)");
  }
  return false;
}

}  // namespace

std::vector<std::string> DeviceLibrary::search_path() {
  std::vector<std::string> directories;
  if (const char* path = std::getenv("TROUPE_PLATFORM_PATH")) {  // NOLINT(concurrency-mt-unsafe): read only
    std::string_view rest{path};
    while (!rest.empty()) {
      const auto end = std::min(rest.find(':'), rest.size());
      if (end > 0) directories.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  if (auto here = directory_of_this_library(); !here.empty()) {
    directories.push_back(here);
    directories.push_back(here + "/troupe/platforms");
  }
  return directories;
}

Result<DeviceLibrary> DeviceLibrary::open(std::string_view path_or_name) {
  auto found = find(path_or_name);
  if (!found) return found.error();
  const std::string& path = *found;

  // The dynamic linker would wait for a pipe to be written.
  if (std::error_code unknown; std::filesystem::is_fifo(path, unknown)) {
    return Error{Errc::load_failed, "cannot load platform library '" + path + "': it is no regular file",
                 "a platform is a shared library for this machine with all its dependencies found"};
  }
  // The dynamic linker knows a library by the path that it was asked for with, and a relative one means
  // another file when the process moves.
  std::error_code lost;
  auto place = std::filesystem::absolute(path, lost);
  if (lost) place = path;
  // Never closed: a library's code may be on the stack of a thread that nobody can join.
  void* const library = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();  // NOLINT(concurrency-mt-unsafe): per thread in glibc
    return Error{Errc::load_failed,
                 "cannot load platform library '" + path + "': " + (reason != nullptr ? reason : "?"),
                 "a platform is a shared library for this machine with all its dependencies found"};
  }

  using Version = decltype(&::troupe_device_abi_version);
  const auto version = reinterpret_cast<Version>(dlsym(library, "troupe_device_abi_version"));
  if (version == nullptr) {
    return Error{Errc::missing_symbol,
                 "'" + path + "' lacks 'troupe_device_abi_version': it is not a troupe platform library",
                 "platforms are called libtroupe_<name>.so; `troupe devices` lists those that are found"};
  }
  if (was_replaced(reinterpret_cast<const void*>(version)) && std::filesystem::exists(place, lost)) {
    return Error{Errc::load_failed,
                 "platform library '" + path + "' was replaced since this process loaded it",
                 "load it under another name, or start the program again"};
  }
  const auto answered = version();
  if (answered >> 16 != TROUPE_DEVICE_ABI_MAJOR) {
    return Error{Errc::version_mismatch,
                 "'" + path + "' speaks device ABI " + std::to_string(answered >> 16) + "." +
                     std::to_string(answered & 0xFFFF) + ", this troupe speaks " +
                     std::to_string(TROUPE_DEVICE_ABI_MAJOR) + "." + std::to_string(TROUPE_DEVICE_ABI_MINOR),
                 "rebuild the platform against this version's device_abi.h"};
  }

  DeviceApi api;
  api.name = path;
  std::vector<std::string> missing;
#define TROUPE_LOAD(symbol) api.symbol = reinterpret_cast<decltype(api.symbol)>(dlsym(library, #symbol));
#define TROUPE_LOAD_REQUIRED(symbol) \
  TROUPE_LOAD(symbol)                \
  if (api.symbol == nullptr) missing.push_back("'" #symbol "'");
  TROUPE_DEVICE_REQUIRED_SYMBOLS(TROUPE_LOAD_REQUIRED)
  TROUPE_DEVICE_OPTIONAL_SYMBOLS(TROUPE_LOAD)
#undef TROUPE_LOAD_REQUIRED
#undef TROUPE_LOAD
  if (!missing.empty()) {
    return Error{Errc::missing_symbol, "platform library '" + path + "' lacks " + joined(missing),
                 "docs/porting.md lists what a platform exports"};
  }
  return DeviceLibrary{std::move(api), answered};
}

}  // namespace troupe::platform
