#include "nodes/built_in_file.hpp"

#include <array>
#include <filesystem>
#include <system_error>

#include "troupe/platform/isolated.hpp"

namespace troupe::apps {

std::string built_in_file() {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const auto here = fs::read_symlink("/proc/self/exe", ignored).parent_path().parent_path();
  // Of a command that is elsewhere (a Python interpreter), beside what chips in processes of their own need.
  const auto chip = platform::chip_program();
  const auto there = chip ? fs::path(*chip).parent_path() : fs::path();
  const std::array<fs::path, 4> folders{here / "lib" / "troupe", here, there, there.parent_path()};
  for (const auto& folder : folders) {
    const auto file = folder / "modules" / "libtroupe_examples.so";
    if (fs::exists(file, ignored)) return file.string();
  }
  return {};
}

}  // namespace troupe::apps
