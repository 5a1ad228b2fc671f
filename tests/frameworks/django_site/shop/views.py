from django.http import JsonResponse

from .models import Item


def items(request):
    # A case-insensitive pattern is a function of SQLite that Django writes in Python: SQLite calls back.
    found = Item.objects.filter(name__iregex=request.GET.get("match", ".")).order_by("id")
    return JsonResponse({"items": [item.name for item in found]})
