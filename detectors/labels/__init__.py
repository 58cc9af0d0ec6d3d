"""Labels and the clips they speak of: kept, compared, agreed on. Knows neither Gradio nor torch."""
