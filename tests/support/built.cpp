#include "support/built.hpp"

namespace troupe::tests {

std::string built(const std::string& name) { return std::string(TROUPE_BUILD_FOLDER "/") + name; }

std::string in_sources(const std::string& name) {
  return name.empty() ? TROUPE_SOURCE_FOLDER : TROUPE_SOURCE_FOLDER "/" + name;
}

}  // namespace troupe::tests
