variable "project_number" {
  description = "Number of the project that holds the pools."
  type        = string
}

variable "universe_domain" {
  description = "The universe's domain."
  type        = string
  default     = "googleapis.com"
}

variable "shared_pool" {
  description = "Id of one pool for all clusters; null: each has its own."
  type        = string
  default     = null

  validation {
    condition     = var.shared_pool == null ? true : can(regex("^[a-z0-9-]{4,32}$", var.shared_pool)) && !startswith(var.shared_pool, "gcp-")
    error_message = "A pool's id has 4 to 32 of a-z, 0-9 and -, and does not begin with gcp-."
  }
}

variable "clusters" {
  description = "The clusters by name."
  type = map(object({
    pool                   = optional(string)
    provider               = optional(string)
    map_pod                = optional(bool, false)
    google_service_account = optional(string)
  }))

  validation {
    condition = alltrue([
      for name in keys(var.clusters) : can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", name))
    ])
    error_message = "A cluster's name has at most 63 of a-z, 0-9 and -, with a letter or digit at both ends."
  }

  validation {
    condition = alltrue([
      for id in flatten([for cluster in values(var.clusters) : [cluster.pool, cluster.provider]]) :
      id == null ? true : can(regex("^[a-z0-9-]{4,32}$", id)) && !startswith(id, "gcp-")
    ])
    error_message = "Ids of pools and providers have 4 to 32 of a-z, 0-9 and -, and do not begin with gcp-."
  }
}

variable "repositories" {
  description = "Names of all repositories."
  type        = list(string)
}

variable "pull" {
  description = "Who may pull."
  type = list(object({
    cluster                = string
    namespace              = optional(string)
    service_account        = optional(string)
    repositories           = optional(list(string))
    google_service_account = optional(string)
  }))

  validation {
    condition = alltrue([
      for puller in var.pull :
      (puller.service_account == null || puller.namespace != null) &&
      (puller.google_service_account == null || puller.service_account != null)
    ])
    error_message = "A service_account needs its namespace, and a google_service_account of its own needs the service_account."
  }

  validation {
    condition     = alltrue([for puller in var.pull : puller.repositories == null ? true : length(puller.repositories) > 0])
    error_message = "An entry of `pull` has an empty list of repositories. Name some, or leave the list out: that gives all."
  }

  validation {
    condition = alltrue(flatten([
      for puller in var.pull : [
        for name in compact([puller.namespace, puller.service_account]) :
        can(regex("^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", name))
      ]
    ]))
    error_message = "Namespaces and ServiceAccounts are named whole, by their Kubernetes names; there are no wildcards."
  }
}
