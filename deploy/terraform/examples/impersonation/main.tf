# Pulls with the token of a Google service account, which lives an hour whatever the pod's token has
# left. One ServiceAccount has an account of its own; its annotation names it.

module "pulls" {
  source = "../.."

  project_id = "my-project"

  clusters = {
    prod = {
      issuer                 = "https://kubernetes.default.svc.cluster.local"
      jwks_json              = file("${path.module}/prod.jwks.json")
      google_service_account = "puller@my-project.iam.gserviceaccount.com"
    }
  }

  repositories = {
    images = { location = "europe" }
  }

  pull = [
    { cluster = "prod", namespace = "backend" },
    {
      cluster                = "prod"
      namespace              = "ci"
      service_account        = "runner"
      google_service_account = "runner@my-project.iam.gserviceaccount.com"
    },
  ]
}

output "audiences" {
  description = "GCP_AUDIENCE of the cluster."
  value       = module.pulls.audiences
}
