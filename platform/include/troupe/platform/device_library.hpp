#pragma once

// Loads a platform's shared library. Libraries stay loaded for the life of the process, so copies of a
// DeviceLibrary are plain values. Any thread; open() blocks while the file is loaded, and its constructors
// run.
// Errors are Results: load_failed, missing_symbol, version_mismatch, with the path.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/platform/device_api.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform {

/// A platform's shared library, opened RTLD_LOCAL and checked: ABI version, required symbols. It stays loaded
/// for the life of the process (kernels and detached foreign code may point into it), so a DeviceLibrary is
/// a plain value. Errors name the file and the symbol.
class TROUPE_API DeviceLibrary {
 public:
  /// `path` with a slash: that file. A bare name ("a2a3sim"): `libtroupe_<name>.so` in the directories of
  /// `search_path()`.
  /// Fails with load_failed, missing_symbol (all missing ones are listed) or version_mismatch.
  static Result<DeviceLibrary> open(std::string_view path_or_name);

  /// Where bare names are looked for: the directories of the environment variable TROUPE_PLATFORM_PATH, then
  /// the one that holds libtroupe_platform.so, then its `troupe/platforms` subdirectory.
  static std::vector<std::string> search_path();

  [[nodiscard]] const DeviceApi& api() const noexcept { return api_; }
  [[nodiscard]] const std::string& path() const noexcept { return api_.name; }
  /// `major << 16 | minor`, as the library answered.
  [[nodiscard]] std::uint32_t abi_version() const noexcept { return abi_version_; }

 private:
  DeviceLibrary(DeviceApi api, std::uint32_t abi_version) : api_(std::move(api)), abi_version_(abi_version) {}

  DeviceApi api_;
  std::uint32_t abi_version_;
};

}  // namespace troupe::platform
