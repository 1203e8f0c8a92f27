"""The words of Boreas: values, states, errors and the ports between the layers. Pure."""
