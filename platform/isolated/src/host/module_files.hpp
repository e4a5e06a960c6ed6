#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <string>

#include "troupe/runtime/digest.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::isolation {

/// What is in the files of modules, as far as somebody asked for it: hashed once, unless they change. For all
/// chips of a node. Thread-safe.
class ModuleFiles {
 public:
  struct Known {
    runtime::Digest digest;
    std::uintmax_t bytes = 0;
    std::filesystem::file_time_type written = {};
  };
  Result<Known> of(const std::string& file);

 private:
  std::mutex mutex_;
  std::map<std::string, Known> known_;
};

}  // namespace troupe::platform::isolation
