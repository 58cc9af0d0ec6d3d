"""Labels and the clips they speak of, on disk. Knows neither Gradio nor torch."""
